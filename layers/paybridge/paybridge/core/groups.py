"""Run many calls at once and take their answers in groups: answers that come close together are recorded together.

One transaction for a thousand quick answers, and no quick answer waits for a slow one:

    async with AnswerGroups[Outcome](GROUP_SECONDS) as calls:
        calls.start(charge(attempt) for attempt in attempts)
        async for outcomes in calls:
            record(outcomes)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

Answer = TypeVar("Answer")


class AnswerGroups(Generic[Answer]):
    """Calls that run at the same time, and their answers in groups.

    A group is the first answer and those that follow it within `seconds`. Leaving the `async with` block cancels every
    call that still runs, and waits until it has ended. A call should return its failure as an answer: an error that it
    raises is raised in place of its whole group.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: set[asyncio.Task[Answer]] = set()

    def start(self, calls: Iterable[Coroutine[Any, Any, Answer]]) -> None:
        """Start the calls; allowed at any time, also between two groups."""
        self._running |= {asyncio.create_task(call) for call in calls}

    def __bool__(self) -> bool:
        """Tell whether a call still runs, or has an answer that was not taken yet."""
        return bool(self._running)

    async def next_group(self) -> list[Answer]:
        """Wait for an answer, then up to `seconds` for more; return them, or nothing if no call runs."""
        if not self._running:
            return []
        done, running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        if running:
            more, running = await asyncio.wait(running, timeout=self._seconds)
            done |= more
        self._running = running
        return [task.result() for task in done]

    async def __aiter__(self) -> AsyncIterator[list[Answer]]:
        """Yield groups until no call runs."""
        while self._running:
            yield await self.next_group()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        running, self._running = self._running, set()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
