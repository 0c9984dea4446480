"""Retries as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.retry import GiveUp, RetryIn, after_failure, backoff_seconds


class TestAfterFailure:
    def test_the_delays_are_used_in_order(self) -> None:
        assert [after_failure(number, (1, 2, 4)) for number in (1, 2, 3)] == [RetryIn(1), RetryIn(2), RetryIn(4)]

    @given(st.lists(st.floats(0.1, 100), max_size=10))
    def test_there_is_one_more_attempt_than_delays(self, delays: list[float]) -> None:
        assert after_failure(len(delays) + 1, delays) == GiveUp()


class TestBackoffSeconds:
    def test_it_doubles(self) -> None:
        assert [backoff_seconds(failures, 0.5, 60) for failures in (1, 2, 3)] == [0.5, 1, 2]

    @given(st.integers(0, 10**9), st.floats(0.001, 10), st.floats(10, 1000))
    def test_it_stays_within_its_bounds(self, failures: int, first: float, most: float) -> None:
        assert first <= backoff_seconds(failures, first, most) <= most
