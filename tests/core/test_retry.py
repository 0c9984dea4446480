"""Retries as values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.retry import GiveUp, RetryIn, after_failure, backoff_seconds, parse_retry_after

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY_SECONDS = 24 * 3600


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


class TestParseRetryAfter:
    @given(st.integers(0, 2 * DAY_SECONDS))
    def test_reads_an_http_date(self, seconds: int) -> None:
        date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
        assert parse_retry_after(date, NOW) == min(seconds, DAY_SECONDS)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("120", 120),
            (" 5 ", 5),
            ("9" * 400, DAY_SECONDS),
            ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
            (None, None),
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("٣", None),
        ],
    )
    def test_reads_seconds_and_ignores_nonsense(self, value: str | None, seconds: float | None) -> None:
        assert parse_retry_after(value, NOW) == seconds

    @given(st.text() | st.from_regex(r"\w{3}, \d{1,4} \w{3} \d{1,6} \d\d:\d\d:\d\d [+-]?\w{0,6}", fullmatch=True))
    def test_never_raises(self, value: str) -> None:
        seconds = parse_retry_after(value, NOW)
        assert seconds is None or 0 <= seconds <= DAY_SECONDS
