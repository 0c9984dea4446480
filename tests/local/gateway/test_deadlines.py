"""Deadlines are kept in their order, once each."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.gateway.deadlines import Deadlines


class World:
    """A clock that the test moves, and what was decided by it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.decided: list[str] = []
        self.is_disk_full = False
        self.deadlines = Deadlines(lambda: self.time, self.decide)

    def decide(self, what: str, _record: dict[str, Any]) -> None:
        if self.is_disk_full:
            raise OSError("no space left on device")
        self.decided.append(what)


class TestSettle:
    @given(st.lists(st.integers(0, 20), max_size=20), st.lists(st.integers(0, 10), max_size=5))
    def test_what_is_due_is_decided_once_and_in_order(self, times: list[int], steps: list[int]) -> None:
        world = World()
        for number, time in enumerate(times):
            world.deadlines.add(time, f"{time}-{number}", {})
        for step in steps:
            world.time += step
            world.deadlines.settle()
            due = [(time, number) for number, time in enumerate(times) if time <= world.time]
            assert world.decided == [f"{time}-{number}" for time, number in sorted(due)]

    def test_what_a_full_disk_refuses_stays_due(self) -> None:
        world = World()
        world.deadlines.add(0, "reversed", {})
        world.is_disk_full = True
        with pytest.raises(OSError, match="no space"):
            world.deadlines.settle()
        world.is_disk_full = False
        world.deadlines.settle()
        assert world.decided == ["reversed"]


class TestRun:
    async def test_an_earlier_deadline_wakes_the_task(self) -> None:
        world = World()
        task = asyncio.create_task(world.deadlines.run())
        world.deadlines.add(50, "later", {})
        await asyncio.sleep(0)
        world.time = 1
        world.deadlines.add(1, "now", {})
        async with asyncio.timeout(5):
            while not world.decided:  # noqa: ASYNC110 - the deadlines have no event
                await asyncio.sleep(0.01)
        assert world.decided == ["now"]
        task.cancel()
