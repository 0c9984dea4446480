"""Durations as people write them, and what the client says about a stack without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.clock.client import ClockRequestError, advance, parse_duration
from local.servers.processes import free_port


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("75h", 270_000),
        ("7d", 604_800),
        ("1d12h", 129_600),
        ("1.5h", 5400),
        ("90m", 5400),
        ("45", 45),
        (" 2W ", 1_209_600),
    ],
)
def test_reads_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-5h", "5 h", "12h1d", "1y", "inf", "nan", "5hh", "1e3"])
def test_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)


@given(st.integers(0, 9), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_adds_the_parts_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    wanted = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == wanted


def test_says_that_nothing_answers() -> None:
    with pytest.raises(ClockRequestError, match="does not answer"):
        advance(f"http://127.0.0.1:{free_port()}", 5)
