"""The current time, passed in so that tests can set it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol

# Clocks that differ by less agree: leases and cooldowns last for seconds.
AGREEMENT = timedelta(seconds=1)


class Clock(Protocol):
    """A source of the current time."""

    def now(self) -> datetime:
        """Return the current time, with a UTC offset."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)


class FollowingClock:
    """The clock of this machine, corrected to one that all environments share.

    Leases, cooldowns and ages of payments are written by one environment and read by another. A clock that is wrong by
    an hour would strand what it wrote, or find everything overdue.
    """

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the current time in UTC, as the shared clock had it when it was last followed."""
        return datetime.now(UTC) + self._ahead

    def follow(self, shared: datetime) -> None:
        """Take over the time of the shared clock, unless the two agree."""
        ahead = shared - datetime.now(UTC)
        self._ahead = ahead if abs(ahead) > AGREEMENT else timedelta()
