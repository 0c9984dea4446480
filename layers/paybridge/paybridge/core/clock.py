"""The time, passed in so that rules about time can be tested."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The time, passed in so that rules about time can be tested."""

    def now(self) -> datetime:
        """The current time, with a UTC offset."""
        ...


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)
