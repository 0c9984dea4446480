from local.lambda_host.pool import growth_is_due


class TestGrowthIsDue:
    def test_not_before_the_queue_has_waited(self) -> None:
        assert not growth_is_due(alive=1, queued_seconds=0.01, unmoved_seconds=10, enough=8)

    def test_while_there_are_few_environments(self) -> None:
        assert growth_is_due(alive=7, queued_seconds=0.02, unmoved_seconds=0.01, enough=8)

    def test_not_for_short_invocations_that_keep_the_queue_moving(self) -> None:
        assert not growth_is_due(alive=8, queued_seconds=0.5, unmoved_seconds=0.01, enough=8)

    def test_when_no_invocation_comes_to_its_end(self) -> None:
        assert growth_is_due(alive=8, queued_seconds=0.1, unmoved_seconds=0.1, enough=8)

    def test_not_for_the_first_invocations_after_a_pause(self) -> None:
        assert not growth_is_due(alive=8, queued_seconds=0.05, unmoved_seconds=60, enough=8)

    def test_when_the_queue_moves_too_slowly(self) -> None:
        assert growth_is_due(alive=8, queued_seconds=1.0, unmoved_seconds=0.01, enough=8)
