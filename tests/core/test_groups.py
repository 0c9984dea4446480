"""Answers in groups: what comes close together, what comes late, and what is left when a group fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from paybridge.core.groups import AnswerGroups

# Far longer than a test takes: a call that lasts so long is still running when the test looks.
LONG_SECONDS = 60.0
# A group that waits this long certainly holds every quick answer.
PATIENT_SECONDS = 1.0


async def answer(value: int, after_seconds: float = 0.0) -> int:
    await asyncio.sleep(after_seconds)
    return value


async def fail() -> int:
    raise ValueError("broken call")


def answers(*values: int) -> list[Coroutine[Any, Any, int]]:
    return [answer(value) for value in values]


class TestGroups:
    async def test_answers_that_come_close_together_are_one_group(self) -> None:
        async with AnswerGroups[int](PATIENT_SECONDS) as calls:
            calls.start([answer(1), answer(2, after_seconds=0.01), answer(3, after_seconds=0.02)])
            assert sorted(await calls.next_group()) == [1, 2, 3]

    async def test_a_quick_answer_does_not_wait_for_a_slow_one(self) -> None:
        async with AnswerGroups[int](0.01) as calls:
            calls.start([answer(1), answer(2, after_seconds=LONG_SECONDS)])
            assert await calls.next_group() == [1]
            assert calls

    async def test_iteration_ends_with_the_last_answer(self) -> None:
        async with AnswerGroups[int](0.0) as calls:
            calls.start(answers(*range(100)))
            groups = [group async for group in calls]
        assert sorted(value for group in groups for value in group) == list(range(100))
        assert not calls

    async def test_a_call_may_start_between_two_groups(self) -> None:
        async with AnswerGroups[int](0.0) as calls:
            calls.start(answers(3))
            seen: list[int] = []
            async for group in calls:
                seen += group
                calls.start(answers(group[0] - 1) if group[0] else [])
        assert seen == [3, 2, 1, 0]

    async def test_without_calls_the_group_is_empty_at_once(self) -> None:
        async with AnswerGroups[int](LONG_SECONDS) as calls:
            assert await calls.next_group() == []
            assert [group async for group in calls] == []


class TestFailures:
    async def test_an_error_of_a_call_is_raised_and_the_other_calls_are_cancelled(self) -> None:
        slow = asyncio.create_task(answer(1, after_seconds=LONG_SECONDS))

        async def wait_for_slow() -> int:
            return await slow

        with pytest.raises(ValueError, match="broken call"):
            async with AnswerGroups[int](0.0) as calls:
                calls.start([wait_for_slow(), fail()])
                await calls.next_group()
        assert slow.cancelled()
        assert not calls

    async def test_an_error_in_the_block_cancels_every_call(self) -> None:
        cancelled = asyncio.Event()

        async def notice_cancellation() -> int:
            try:
                return await answer(1, after_seconds=LONG_SECONDS)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        with pytest.raises(RuntimeError, match="cannot record"):
            async with AnswerGroups[int](0.0) as calls:
                calls.start([notice_cancellation(), answer(2)])
                async for _ in calls:
                    raise RuntimeError("cannot record")
        assert cancelled.is_set()

    async def test_cancelling_the_owner_cancels_every_call(self) -> None:
        started, cancelled = asyncio.Event(), asyncio.Event()

        async def notice_cancellation() -> int:
            started.set()
            try:
                return await answer(1, after_seconds=LONG_SECONDS)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async def own() -> None:
            async with AnswerGroups[int](LONG_SECONDS) as calls:
                calls.start([notice_cancellation()])
                await calls.next_group()

        owner = asyncio.create_task(own())
        await started.wait()
        owner.cancel()
        with pytest.raises(asyncio.CancelledError):
            await owner
        assert cancelled.is_set()

    async def test_a_call_that_answers_while_it_is_cancelled_is_left_alone(self) -> None:
        async def answer_anyway() -> int:
            try:
                return await answer(1, after_seconds=LONG_SECONDS)
            except asyncio.CancelledError:
                return 2

        async with AnswerGroups[int](0.0) as calls:
            calls.start([answer_anyway(), answer(3)])
            assert await calls.next_group() == [3]
        assert not calls
