"""Dry runs of replays: what would be sent, and what of it is new to the consumer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from paybridge.replay import dry_run
from paybridge.replay.control import cancel_replay
from paybridge.replay.domain import Replay
from paybridge.replay.dry_run import work_on, work_on_dry_runs
from paybridge.replay.read import read_replay
from paybridge.webhooks.begin import new_deliveries
from paybridge.webhooks.store.deliveries import insert
from tests.replay.conftest import ReplayWorld

pytestmark = [pytest.mark.integration, pytest.mark.broker]

URL = {"payment_id": "p", "status": "succeeded", "webhook_url": "http://127.0.0.1:9/hooks"}


def would(replay: Replay) -> dict[str, Any]:
    answer: dict[str, Any] = replay.view()["would"]
    return answer


async def test_it_says_what_is_new_and_sends_nothing(world: ReplayWorld) -> None:
    delivered = [world.fact(data=URL) for _ in range(3)]
    world.fact(data=URL, type_="payment.failed")
    # Nothing has to be done about an event that no URL and no endpoint wants.
    world.fact()
    with world.database.transaction() as transaction:
        insert(transaction, new_deliveries(transaction, delivered))
    replay = world.start(is_dry_run=True, rate_per_second=5.0)
    assert replay.state == "finished"
    assert would(replay) == {
        "send": 5,
        "new": 1,
        "already_processed": 4,
        "new_by_type": {"payment.failed": 1},
        "seconds": 1.0,
    }
    assert replay.view()["events"] == {"payment.failed": 1, "payment.succeeded": 4}
    assert replay.view()["sent"] == 0
    await world.passes(2)
    for queue in ("webhooks", "notifications"):
        assert await world.taken(queue) == []


async def test_a_large_one_goes_on_with_each_look_and_in_the_background(
    world: ReplayWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "SLICE_FACTS", 2)
    monkeypatch.setattr("paybridge.replay.start.REQUEST_SECONDS_MAX", 0.0)
    monkeypatch.setattr("paybridge.replay.read.REQUEST_SECONDS_MAX", 0.0)
    world.facts(7)
    replay = world.start(is_dry_run=True)
    assert (replay.state, replay.checked) == ("running", 2)
    looked = read_replay(world.services, replay.id)
    assert looked is not None
    assert (looked.state, looked.checked) == ("running", 4)
    assert work_on_dry_runs(world.services, 60.0) == 1
    looked = read_replay(world.services, replay.id)
    assert looked is not None
    assert (looked.state, looked.checked, looked.progress) == ("finished", 7, 1.0)
    assert work_on_dry_runs(world.services, 60.0) == 0


async def test_another_worker_is_not_waited_for(world: ReplayWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "SLICE_FACTS", 1)
    monkeypatch.setattr("paybridge.replay.start.REQUEST_SECONDS_MAX", 0.0)
    world.facts(3)
    replay = world.start(is_dry_run=True)
    other = world.database.another()
    try:
        with other.transaction() as transaction:
            assert dry_run.replays.lock(transaction, replay.id) is not None
            assert work_on(world.services, replay.id, 60.0) is None
            looked = read_replay(world.services, replay.id)
            assert looked is not None
            assert looked.checked == 1
    finally:
        other.close()
    assert cancel_replay(world.services, replay.id, "ben") is not None
    assert work_on(world.services, replay.id, 60.0) is None


async def test_old_replays_are_deleted_and_open_ones_stay(world: ReplayWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = world.start(is_dry_run=True)
    still_open = world.start()
    monkeypatch.setattr(dry_run, "KEPT", timedelta(seconds=-60))
    work_on_dry_runs(world.services, 1.0)
    assert read_replay(world.services, ended.id) is None
    assert read_replay(world.services, still_open.id) is not None
