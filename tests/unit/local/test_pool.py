from local.lambda_host.pool import growth_is_due


class TestGrowthIsDue:
    def test_not_before_the_queue_has_waited(self) -> None:
        assert not growth_is_due(alive=1, queued_seconds=0.09, unmoved_seconds=10, cores=2)

    def test_while_there_are_fewer_environments_than_cores(self) -> None:
        assert growth_is_due(alive=1, queued_seconds=0.1, unmoved_seconds=0.01, cores=2)

    def test_not_for_short_invocations_that_keep_the_queue_moving(self) -> None:
        assert not growth_is_due(alive=2, queued_seconds=0.5, unmoved_seconds=0.01, cores=2)

    def test_when_no_invocation_comes_to_its_end(self) -> None:
        assert growth_is_due(alive=2, queued_seconds=0.1, unmoved_seconds=0.1, cores=2)

    def test_when_the_queue_moves_too_slowly(self) -> None:
        assert growth_is_due(alive=2, queued_seconds=1.0, unmoved_seconds=0.01, cores=2)
