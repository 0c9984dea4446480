"""Retry as a value: what to do next, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Try again after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """That was the last try."""


def after_failure(attempt: int, delays_seconds: Sequence[float]) -> RetryIn | GiveUp:
    """What follows the failure of the given attempt (counted from 1).

    `delays_seconds` are the waits between attempts, so there is one more attempt than there are waits.
    """
    if attempt <= len(delays_seconds):
        return RetryIn(delays_seconds[attempt - 1])
    return GiveUp()


def backoff_seconds(failures: int, first_seconds: float, max_seconds: float) -> float:
    """A wait that doubles with each failure in a row, from `first_seconds` up to `max_seconds`."""
    doublings = min(max(failures - 1, 0), 32)
    return min(first_seconds * (1 << doublings), max_seconds)
