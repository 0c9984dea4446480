"""Read replays."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.core.cursors import position_of
from paybridge.database.database import Database
from paybridge.replay.domain import Replay, ReplayState
from paybridge.replay.dry_run import REQUEST_SECONDS_MAX, work_on
from paybridge.replay.ports import ReplayServices
from paybridge.replay.store import replays


@dataclass(frozen=True, slots=True)
class ReplayPage:
    """Replays, newest first. There are more after them if there is a cursor."""

    replays: list[Replay]
    next_cursor: str | None


def read_replay(services: ReplayServices, replay_id: UUID) -> Replay | None:
    """Return the replay, a dry run after some more work on it; None if there is none. Raises DatabaseUnavailable."""
    replay = replays.find(services.database, replay_id)
    if replay is None or not replay.is_dry_run or replay.state is not ReplayState.RUNNING:
        return replay
    return work_on(services, replay_id, REQUEST_SECONDS_MAX) or replays.find(services.database, replay_id)


def list_replays(database: Database, *, cursor: str | None, limit: int) -> ReplayPage:
    """Return a page of replays. Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable."""
    found = replays.list_before(database, position_of(cursor) or replays.NEWEST, limit + 1)
    page = found[:limit]
    return ReplayPage(page, str(page[-1].id) if len(found) > limit else None)
