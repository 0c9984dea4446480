"""How many requests wait for the functions at once, and when those for whom there is no room may come again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

# A request that waits takes some kilobytes. Fewer than the least are let in whatever has been served lately: a rate
# that was small because little was asked for says nothing of what can be done.
_WAITING_MIN = 200
_WAITING_MAX = 2_000
# The rate at which requests are answered is that of about so many seconds.
_MEMORY_SECONDS = 5.0
# Refused callers are spread over this many seconds: were all of them told the same, all would come again at once.
_COME_AGAIN_SECONDS_MAX = 30


class Backlog:
    """Lets in as many requests as are answered within `patience_seconds`, by the rate of late."""

    def __init__(self, patience_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._patience_seconds = patience_seconds
        self._now = now
        self._waiting = 0
        self._rate = 0.0
        self._rate_at = now()
        # The time that the last caller who was refused has been told.
        self._promised_at = 0.0

    def enter(self) -> bool:
        """Whether there is room for one more request; it then has to `leave`."""
        room = min(max(_WAITING_MIN, self._rate_now() * self._patience_seconds), _WAITING_MAX)
        if self._waiting >= room:
            return False
        self._waiting += 1
        return True

    def leave(self, *, answered: bool) -> None:
        """The request has been answered by a function, or was given up."""
        self._waiting -= 1
        if answered:
            self._rate = self._rate_now() + 1 / _MEMORY_SECONDS
            self._rate_at = self._now()

    def come_again_seconds(self) -> int:
        """When a caller who is refused may come again: each a little later than the one before, in turns."""
        now = self._now()
        interval_seconds = 1 / max(self._rate_now(), _WAITING_MIN / self._patience_seconds)
        at = max(self._promised_at, now) + interval_seconds
        self._promised_at = at if at <= now + _COME_AGAIN_SECONDS_MAX else now
        return max(1, math.ceil(self._promised_at - now))

    def _rate_now(self) -> float:
        """Answers a second, of which those of long ago count less and less."""
        return self._rate * math.exp((self._rate_at - self._now()) / _MEMORY_SECONDS)
