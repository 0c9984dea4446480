"""How many requests may wait for the functions, and when refused ones may be retried."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# A waiting request takes some kilobytes. The minimum is always admitted: a low recent rate may only mean little
# traffic.
_WAITING_MIN = 200
_WAITING_MAX = 2_000
# The rate of answers is measured over about this many seconds.
_MEMORY_SECONDS = 5.0
# Retries of refused requests are spread over this many seconds. With equal times all would come back at once.
_RETRY_AFTER_SECONDS_MAX = 30


class Backlog:
    """Admit as many requests as are answered within `patience_seconds` at the recent rate."""

    def __init__(self, patience_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._patience_seconds = patience_seconds
        self._now = now
        self._waiting = 0
        self._rate = 0.0
        self._rate_at = now()
        # The time that the last refused caller got.
        self._promised_at = 0.0

    def enter(self) -> bool:
        """Admit one more request if there is room, and return whether there is. An admitted request must `leave`."""
        room = min(max(_WAITING_MIN, self._rate_now() * self._patience_seconds), _WAITING_MAX)
        if self._waiting >= room:
            return False
        self._waiting += 1
        return True

    def leave(self, *, answered: bool) -> None:
        """Remove a request that a function has answered, or that was given up."""
        self._waiting -= 1
        if answered:
            self._rate = self._rate_now() + 1 / _MEMORY_SECONDS
            self._rate_at = self._now()

    def retry_after_seconds(self) -> int:
        """Return when a refused caller may retry: each a little later than the one before, in turns."""
        now = self._now()
        interval_seconds = 1 / max(self._rate_now(), _WAITING_MIN / self._patience_seconds)
        at = max(self._promised_at, now) + interval_seconds
        self._promised_at = at if at <= now + _RETRY_AFTER_SECONDS_MAX else now
        return max(1, math.ceil(self._promised_at - now))

    def _rate_now(self) -> float:
        """Return the answers a second, weighted towards recent ones."""
        return self._rate * math.exp((self._rate_at - self._now()) / _MEMORY_SECONDS)
