from __future__ import annotations

from collections import Counter

import pytest

from local.bridge.backlog import Backlog


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    return Backlog(5.0, clock)


def let_in(backlog: Backlog, callers: int) -> int:
    return sum(backlog.enter() for _ in range(callers))


def serve(backlog: Backlog, clock: Clock, rate: int, seconds: int) -> None:
    """Answer this many requests a second, each as soon as it comes."""
    for _ in range(rate * seconds):
        clock.seconds += 1 / rate
        assert backlog.enter()
        backlog.leave(answered=True)


class TestEnter:
    def test_a_burst_after_silence_finds_room_for_some(self, backlog: Backlog) -> None:
        assert let_in(backlog, 10_000) == 200

    def test_who_leaves_makes_room(self, backlog: Backlog) -> None:
        let_in(backlog, 200)
        backlog.leave(answered=False)
        assert let_in(backlog, 10) == 1

    def test_as_many_as_are_answered_within_the_patience(self, backlog: Backlog, clock: Clock) -> None:
        serve(backlog, clock, rate=100, seconds=60)
        assert let_in(backlog, 10_000) == pytest.approx(500, rel=0.05)

    def test_never_more_than_memory_is_to_be_spent_on(self, backlog: Backlog, clock: Clock) -> None:
        serve(backlog, clock, rate=2_000, seconds=20)
        assert let_in(backlog, 10_000) == 2_000

    def test_what_was_long_ago_does_not_count(self, backlog: Backlog, clock: Clock) -> None:
        serve(backlog, clock, rate=100, seconds=60)
        clock.seconds += 60
        assert let_in(backlog, 10_000) == 200


class TestComeAgain:
    def test_the_only_one_may_come_again_soon(self, backlog: Backlog) -> None:
        assert backlog.retry_after_seconds() == 1

    def test_many_are_told_to_come_as_fast_as_they_can_be_served(self, backlog: Backlog, clock: Clock) -> None:
        serve(backlog, clock, rate=100, seconds=60)
        waits = Counter(backlog.retry_after_seconds() for _ in range(400))
        assert 4 <= max(waits) <= 5
        assert max(waits.values()) <= 110

    def test_more_than_can_be_told_a_time_begin_anew(self, backlog: Backlog) -> None:
        waits = Counter(backlog.retry_after_seconds() for _ in range(10_000))
        assert set(waits) == set(range(1, 31))
        assert max(waits.values()) < 400
