"""Pausing, resuming and canceling replays while the relay publishes them."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import timedelta
from uuid import uuid4

import pytest

from paybridge.core.errors import ConstraintViolated
from paybridge.database.database import Statement
from paybridge.replay.control import ReplayEnded, cancel_replay, pause_replay, resume_replay
from paybridge.replay.domain import Replay, ReplayState
from paybridge.replay.read import list_replays, read_replay
from paybridge.replay.start import OPEN_MAX, RangeEmpty, TooManyReplays
from paybridge.wiring.replay import services_over
from tests.replay.conftest import ReplayWorld

pytestmark = [pytest.mark.integration, pytest.mark.broker]

YEAR = timedelta(days=365)

_OPEN_ROWS = Statement("SELECT count(*) FROM outbox WHERE type = 'command.replay' AND published_at IS NULL")
_REVIVE = Statement("UPDATE replays SET state = 'running', finished_at = NULL, outbox_id = id")


def shown(world: ReplayWorld, replay: Replay) -> Replay:
    found = read_replay(world.services, replay.id)
    assert found is not None
    return found


class TestPauseAndResume:
    async def test_a_paused_replay_sends_nothing_and_goes_on_where_it_was(self, world: ReplayWorld) -> None:
        sent = world.facts(6)
        replay = world.start(rate_per_second=8.0)
        await world.passes()
        paused = pause_replay(world.services, replay.id, "ben")
        assert paused is not None
        await world.passes(3)
        assert await world.ids() == sent[:2]
        found = shown(world, replay)
        assert (found.state, found.checked, found.created_by, found.changed_by) == ("paused", 2, "ana", "ben")
        assert world.database.run(_OPEN_ROWS) == [[0]]
        assert resume_replay(world.services, replay.id, "ana") is not None
        await world.until_done()
        assert await world.ids() == sent[2:]
        assert (shown(world, replay).state, shown(world, replay).checked) == ("finished", 6)

    async def test_twice_changes_nothing(self, world: ReplayWorld) -> None:
        sent = world.facts(3)
        replay = world.start()
        first, second = (pause_replay(world.services, replay.id, who) for who in ("ben", "eve"))
        assert first == second
        for _ in range(2):
            resume_replay(world.services, replay.id, "ben")
        await world.until_done()
        assert await world.ids() == sent

    async def test_paused_and_resumed_before_the_relay_came_by_it_sends_each_fact_once(
        self, world: ReplayWorld
    ) -> None:
        sent = world.facts(5)
        replay = world.start()
        for _ in range(3):
            pause_replay(world.services, replay.id, "ben")
            resume_replay(world.services, replay.id, "ben")
        await world.until_done()
        assert await world.ids() == sent

    async def test_while_the_relay_publishes_nothing_is_skipped(self, world: ReplayWorld) -> None:
        sent = world.facts(40)
        replay = world.start(rate_per_second=8.0)
        with closing(world.database.another()) as another:
            operator = services_over(another, world.services.clock, world.services.ids)
            publishing = asyncio.create_task(world.passes(10))
            for _ in range(4):
                await asyncio.to_thread(pause_replay, operator, replay.id, "ben")
                await asyncio.to_thread(resume_replay, operator, replay.id, "ben")
            await publishing
        await world.until_done()
        assert sorted(await world.ids()) == sorted(sent)


class TestCancel:
    async def test_a_canceled_replay_has_ended(self, world: ReplayWorld) -> None:
        sent = world.facts(6)
        replay = world.start(rate_per_second=8.0)
        await world.passes()
        canceled = cancel_replay(world.services, replay.id, "ben")
        assert canceled is not None
        await world.passes(3)
        assert await world.ids() == sent[:2]
        assert canceled.finished_at is not None
        assert cancel_replay(world.services, replay.id, "eve") == shown(world, replay)
        for change in (pause_replay, resume_replay):
            with pytest.raises(ReplayEnded):
                change(world.services, replay.id, "eve")
        with pytest.raises(ConstraintViolated):
            world.database.run(_REVIVE)

    async def test_a_finished_replay_stays_finished(self, world: ReplayWorld) -> None:
        replay = world.start()
        await world.until_done()
        with pytest.raises(ReplayEnded):
            cancel_replay(world.services, replay.id, "eve")
        assert shown(world, replay).state is ReplayState.FINISHED

    async def test_an_unknown_one_is_none(self, world: ReplayWorld) -> None:
        for change in (pause_replay, resume_replay, cancel_replay):
            assert change(world.services, uuid4(), "ben") is None
        assert read_replay(world.services, uuid4()) is None


class TestStart:
    async def test_only_so_many_are_open_at_once(self, world: ReplayWorld) -> None:
        begun = [world.start() for _ in range(OPEN_MAX)]
        with pytest.raises(TooManyReplays):
            world.start()
        cancel_replay(world.services, begun[0].id, "ben")
        world.start()

    async def test_a_range_ends_now_at_the_latest(self, world: ReplayWorld) -> None:
        now = world.services.clock.now()
        replay = world.start(end_at=now + YEAR)
        assert now <= replay.end_at <= world.services.clock.now()
        with pytest.raises(RangeEmpty):
            world.start(begin_at=now + YEAR, end_at=now + 2 * YEAR)

    async def test_they_are_listed_newest_first_in_pages(self, world: ReplayWorld) -> None:
        begun = [world.start().id for _ in range(3)]
        first = list_replays(world.database, cursor=None, limit=2)
        assert [replay.id for replay in first.replays] == [begun[2], begun[1]]
        second = list_replays(world.database, cursor=first.next_cursor, limit=2)
        assert ([replay.id for replay in second.replays], second.next_cursor) == ([begun[0]], None)
