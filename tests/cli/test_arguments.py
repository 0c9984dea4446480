"""How the commands read durations, times and names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.rate_limit import RateLimit
from paybridge.cli.arguments import parse_duration, parse_name, parse_time, rate_limit_of


class TestParseDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("75h", 270_000),
            ("7d", 604_800),
            ("1d12h", 129_600),
            ("1.5h", 5400),
            ("90m", 5400),
            ("45", 45),
            ("0", 0),
            (" 2W ", 1_209_600),
        ],
    )
    def test_reads_durations(self, text: str, seconds: float) -> None:
        assert parse_duration(text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize(
        "text", ["", "h", "-5h", "5 h", "12h1d", "1h30", "1y", "inf", "nan", "5hh", "1e3", "9" * 400, "٣"]
    )
    def test_refuses_other_texts(self, text: str) -> None:
        with pytest.raises(typer.BadParameter, match="is not a duration"):
            parse_duration(text)

    @given(st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
    def test_adds_the_parts_up(self, days: int, hours: int, minutes: int, seconds: int) -> None:
        wanted = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == wanted


class TestParseTime:
    @pytest.mark.parametrize(
        ("text", "time"),
        [
            ("2026-11-28", datetime(2026, 11, 28, tzinfo=UTC)),
            ("2026-11-28T12:00:00Z", datetime(2026, 11, 28, 12, tzinfo=UTC)),
            ("2026-11-28T12:00:00+03:00", datetime(2026, 11, 28, 12, tzinfo=timezone(timedelta(hours=3)))),
        ],
    )
    def test_reads_times(self, text: str, time: datetime) -> None:
        assert parse_time(text) == time

    def test_refuses_other_texts(self) -> None:
        with pytest.raises(typer.BadParameter, match="is not a time"):
            parse_time("yesterday")


class TestParseName:
    @pytest.mark.parametrize("text", ["", "  ", "x" * 201])
    def test_refuses_what_names_nothing_and_what_is_too_long(self, text: str) -> None:
        with pytest.raises(typer.BadParameter):
            parse_name(text)


class TestRateLimitOf:
    def test_takes_both_numbers_or_none(self) -> None:
        assert rate_limit_of(5, 10) == RateLimit(5, 10)
        assert rate_limit_of(None, None) is None

    @pytest.mark.parametrize(("per_second", "burst"), [(5, None), (None, 10)])
    def test_refuses_half_a_limit(self, per_second: int | None, burst: int | None) -> None:
        with pytest.raises(typer.BadParameter, match="together"):
            rate_limit_of(per_second, burst)
