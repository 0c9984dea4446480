"""What the gateway decides at a later time: a heap of deadlines, and the task that waits for the next one."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable

from local.gateway.log import Record

# The gateway's clock may be moved while the task sleeps.
_LOOK_SECONDS_MAX = 60.0


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

    def settle(self) -> None:
        """Decide everything that is due."""
        while self._heap and self._heap[0][0] <= self._now():
            _, _, what, record = heapq.heappop(self._heap)
            self._decide(what, record)

    async def run(self) -> None:
        """Decide everything when it is due, until this task is cancelled."""
        self._changed = asyncio.Event()
        while True:
            self.settle()
            self._changed.clear()
            wait_seconds = min(self._heap[0][0] - self._now(), _LOOK_SECONDS_MAX) if self._heap else _LOOK_SECONDS_MAX
            try:
                await asyncio.wait_for(self._changed.wait(), max(wait_seconds, 0))
            except TimeoutError:
                continue
