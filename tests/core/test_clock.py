"""A process whose clock is wrong tells the time of the clock that all environments share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from paybridge.core.clock import AGREEMENT, FollowingClock

MOMENT = timedelta(seconds=0.5)


def difference(clock: FollowingClock) -> timedelta:
    return clock.now() - datetime.now(UTC)


class TestFollowingClock:
    def test_it_is_the_machines_at_first(self) -> None:
        assert abs(difference(FollowingClock())) < MOMENT

    @pytest.mark.parametrize("hours", [-1, 1, 24])
    def test_it_takes_over_a_time_that_differs(self, hours: int) -> None:
        clock = FollowingClock()
        clock.follow(datetime.now(UTC) + timedelta(hours=hours))
        assert abs(difference(clock) - timedelta(hours=hours)) < MOMENT

    @pytest.mark.parametrize("share", [-0.5, 0.0, 0.5])
    def test_it_leaves_a_small_difference_alone(self, share: float) -> None:
        clock = FollowingClock()
        clock.follow(datetime.now(UTC) + timedelta(hours=1))
        clock.follow(datetime.now(UTC) + share * AGREEMENT)
        assert abs(difference(clock)) < MOMENT / 10
