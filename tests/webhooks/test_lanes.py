"""Which lane serves which queue, with which limits."""

from __future__ import annotations

import pytest

from paybridge.webhooks.lanes import lane_of


class TestLaneOf:
    def test_first_attempts_take_the_fast_lane(self) -> None:
        lane = lane_of("webhooks", fast_timeout_seconds=6, slow_timeout_seconds=15)
        assert (lane.is_fast, lane.timeout_seconds, lane.prompt_seconds, lane.start_seconds) == (True, 6, 2, 2)

    @pytest.mark.parametrize("queue", ["webhooks.retry", "webhooks.unknown"])
    def test_retries_and_unknown_queues_take_the_slow_lane(self, queue: str) -> None:
        lane = lane_of(queue, fast_timeout_seconds=6, slow_timeout_seconds=15)
        assert (lane.is_fast, lane.timeout_seconds, lane.prompt_seconds, lane.start_seconds) == (False, 15, 2, 10)

    def test_only_the_fast_lane_lets_a_batch_start_for_longer(self) -> None:
        fast, slow = (
            lane_of(queue, fast_timeout_seconds=6, slow_timeout_seconds=15) for queue in ("webhooks", "webhooks.retry")
        )
        assert fast.start_seconds_max == 12
        assert slow.start_seconds_max == slow.start_seconds

    def test_no_merchant_takes_more_than_a_quarter_of_the_fast_lane(self) -> None:
        lane = lane_of("webhooks", fast_timeout_seconds=3, slow_timeout_seconds=15)
        assert lane.receiver_attempts_max <= lane.merchant_attempts_max <= lane.attempts_max / 4
