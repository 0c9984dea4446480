"""Pause, resume and cancel a replay. Each twice changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.replay.domain import ENDED, Replay, ReplayState
from paybridge.replay.ports import ReplayServices
from paybridge.replay.store import replays


class ReplayEnded(Exception):
    """The replay is finished or canceled, so that it cannot be changed."""


def pause_replay(services: ReplayServices, replay_id: UUID, actor: str) -> Replay | None:
    """Stop after the slice that is being published; None if there is no such replay.

    Raises ReplayEnded, DatabaseUnavailable and LockTimeout.
    """

    def pause(_: Transaction, replay: Replay) -> Replay:
        return replace(replay, state=ReplayState.PAUSED, outbox_id=None)

    return _change(services, replay_id, actor, ReplayState.PAUSED, pause)


def resume_replay(services: ReplayServices, replay_id: UUID, actor: str) -> Replay | None:
    """Go on after the last fact that was sent; None if there is no such replay.

    Raises ReplayEnded, DatabaseUnavailable and LockTimeout.
    """

    def resume(transaction: Transaction, replay: Replay) -> Replay:
        if replay.is_dry_run:
            return replace(replay, state=ReplayState.RUNNING)
        # The row that it had before is no longer the replay's, so a relay that still holds it sends nothing.
        row_id = services.ids.new()
        outbox.add_replay(transaction, row_id)
        return replace(replay, state=ReplayState.RUNNING, outbox_id=row_id)

    return _change(services, replay_id, actor, ReplayState.RUNNING, resume)


def cancel_replay(services: ReplayServices, replay_id: UUID, actor: str) -> Replay | None:
    """End the replay after the slice that is being published; None if there is no such replay.

    Raises ReplayEnded, DatabaseUnavailable and LockTimeout.
    """

    def cancel(_: Transaction, replay: Replay) -> Replay:
        return replace(replay, state=ReplayState.CANCELED, outbox_id=None, finished_at=services.clock.now())

    return _change(services, replay_id, actor, ReplayState.CANCELED, cancel)


def _change(
    services: ReplayServices,
    replay_id: UUID,
    actor: str,
    wanted: ReplayState,
    change: Callable[[Transaction, Replay], Replay],
) -> Replay | None:
    with services.database.transaction() as transaction:
        replay = replays.lock(transaction, replay_id)
        if replay is None or replay.state is wanted:
            return replay
        if replay.state in ENDED:
            raise ReplayEnded
        changed = replace(change(transaction, replay), changed_by=actor)
        replays.save(transaction, changed)
    return changed
