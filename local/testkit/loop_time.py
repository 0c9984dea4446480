"""The clock of an event loop, moved on by tests of deadlines that they need not wait for."""

from __future__ import annotations

import asyncio


class LoopTime:
    """The running event loop's clock: what waits in the loop until a time that has passed goes on at once."""

    def __init__(self) -> None:
        self.passed_seconds = 0.0
        loop = asyncio.get_running_loop()
        real = loop.time
        loop.time = lambda: real() + self.passed_seconds  # type: ignore[method-assign]

    def move(self, seconds: float) -> None:
        self.passed_seconds += seconds
