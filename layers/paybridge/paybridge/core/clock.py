"""The current time, passed in so that tests can set it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

# Clocks that differ by less agree: leases and cooldowns last for seconds.
AGREEMENT = timedelta(seconds=1)

# How far the time of this process is ahead of its machine's. Only the offline stack's test clock sets another source.
_ahead: Callable[[], timedelta] = timedelta


def run_ahead(read: Callable[[], timedelta]) -> None:
    """Let the time of this process be ahead of its machine's by what `read` returns, which may change at any time."""
    global _ahead
    _ahead = read


def ahead() -> timedelta:
    """Return how far the time of this process is ahead of its machine's: nothing, except under a test clock."""
    return _ahead()


def process_time() -> datetime:
    """Return the time of this process in UTC."""
    return datetime.now(UTC) + _ahead()


def steady_seconds() -> float:
    """Return a number of seconds for the ages of what is kept in memory: it grows steadily, and with a test clock."""
    return time.monotonic() + _ahead().total_seconds()


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """Return the current time, with a UTC offset."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return process_time()


class FollowingClock:
    """The clock of this machine, corrected to one that all environments share.

    Leases, cooldowns and ages of payments are written by one environment and read by another. A clock that is wrong by
    an hour would strand what it wrote, or find everything overdue.
    """

    def __init__(self) -> None:
        self._correction = timedelta()

    def now(self) -> datetime:
        """Return the current time in UTC, as the shared clock had it when it was last followed."""
        return process_time() + self._correction

    def follow(self, shared: datetime) -> None:
        """Take over the time of the shared clock, unless the two agree."""
        correction = shared - process_time()
        self._correction = correction if abs(correction) > AGREEMENT else timedelta()
