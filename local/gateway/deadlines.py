"""What the gateway decides at a later time: a heap of deadlines, and the task that waits for the next one."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable
from contextlib import suppress

from local.gateway.log import Record

# The gateway's clock may be moved while the task sleeps.
_LOOK_SECONDS_MAX = 60.0
_DISK_RETRY_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Deadlines:
    """Call `decide` with the deed and the record of every deadline once it has come, in the order of their times."""

    def __init__(self, now: Callable[[], float], decide: Callable[[str, Record], None]) -> None:
        self._now = now
        self._decide = decide
        self._heap: list[tuple[float, int, str, Record]] = []
        self._numbers = itertools.count()
        self._changed: asyncio.Event | None = None

    def add(self, at: float, what: str, record: Record) -> None:
        """Remember a deadline at a time in seconds."""
        is_next = not self._heap or at < self._heap[0][0]
        heapq.heappush(self._heap, (at, next(self._numbers), what, record))
        if is_next and self._changed is not None:
            self._changed.set()

    def next_at(self) -> float | None:
        """Return the time of the next deadline in seconds; None if there is none."""
        return self._heap[0][0] if self._heap else None

    def settle(self) -> None:
        """Decide everything that is due. Raises OSError when the log cannot be written, and then it stays due."""
        while self._heap and self._heap[0][0] <= self._now():
            deadline = heapq.heappop(self._heap)
            try:
                self._decide(deadline[2], deadline[3])
            except OSError:
                heapq.heappush(self._heap, deadline)
                raise

    async def run(self) -> None:
        """Decide everything when it is due, until this task is cancelled."""
        self._changed = asyncio.Event()
        while True:
            self._changed.clear()
            wait_seconds = self._settle_and_return_wait()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_seconds)

    def _settle_and_return_wait(self) -> float:
        try:
            self.settle()
        except OSError:
            logger.exception("The log cannot be written.")
            return _DISK_RETRY_SECONDS
        if not self._heap:
            return _LOOK_SECONDS_MAX
        return max(min(self._heap[0][0] - self._now(), _LOOK_SECONDS_MAX), 0)
