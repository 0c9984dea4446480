"""Retries as values: the next action and its delay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# A Retry-After may postpone an attempt by at most a day.
RETRY_AFTER_SECONDS_MAX = 24 * 3600


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again: that was the last attempt."""


def after_failure(attempt: int, delays_seconds: Sequence[float]) -> RetryIn | GiveUp:
    """Decide what follows the failure of the given attempt, counted from 1.

    `delays_seconds` are the delays between attempts, so there is one more attempt than there are delays.
    """
    if attempt <= len(delays_seconds):
        return RetryIn(delays_seconds[attempt - 1])
    return GiveUp()


def backoff_seconds(failures: int, first_seconds: float, max_seconds: float) -> float:
    """Return a delay that doubles with each failure in a row, from `first_seconds` up to `max_seconds`."""
    doublings = min(max(failures - 1, 0), 32)
    return min(first_seconds * (1 << doublings), max_seconds)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header (seconds or an HTTP date) asks for, or None if it is unusable."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        # Twelve digits are more than a day; int() of thousands of digits would be refused.
        return float(min(int(text[:12]), RETRY_AFTER_SECONDS_MAX))
    try:
        moment = parsedate_to_datetime(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return min(max(seconds, 0.0), float(RETRY_AFTER_SECONDS_MAX))
