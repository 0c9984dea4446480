from __future__ import annotations

from local.lambda_host.pool import growth_is_due


class TestGrowthIsDue:
    def test_not_before_the_queue_has_waited(self) -> None:
        assert not growth_is_due(serving=1, queued_seconds=0.01, enough=8)

    def test_while_few_environments_serve(self) -> None:
        assert growth_is_due(serving=7, queued_seconds=0.02, enough=8)

    def test_not_for_a_long_queue_of_short_invocations(self) -> None:
        assert not growth_is_due(serving=8, queued_seconds=4.0, enough=8)
