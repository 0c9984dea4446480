"""Replays and their progress."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.replay.domain import Replay, ReplayState

_NAMES = (
    *("id", "consumer", "begin_at", "end_at", "rate_per_second", "is_dry_run", "position", "created_by", "created_at"),
    *("changed_by", "checked", "events", "unseen", "finished_at", "outbox_id"),
)
_COLUMNS = f"to_json(r.types), r.state, r.horizon::text, {', '.join(f'r.{name}' for name in _NAMES)}"
# The row of the outbox says what the broker has refused.
_SHOWN = f"{_COLUMNS}, o.last_error"
_WITH_OUTBOX = "LEFT JOIN outbox o ON o.id = r.outbox_id"

_LOCK_COUNT = Statement("SELECT pg_advisory_xact_lock(hashtextextended('replays', 0))")
_COUNT_OPEN = Statement("SELECT count(*) FROM replays WHERE state IN ('running', 'paused')")
# The number of this transaction. The upper end of a snapshot is no higher than the last transaction that has ended.
_HORIZON = Statement("SELECT pg_current_xact_id()::text")
_ADD = Statement("""
    INSERT INTO replays (id, consumer, types, begin_at, end_at, rate_per_second, is_dry_run, state, horizon, position,
                         created_by, created_at, outbox_id)
    VALUES (:id::uuid, :consumer::text, ARRAY(SELECT json_array_elements_text(:chosen::json)), :begin_at::timestamptz,
            :end_at::timestamptz, :rate_per_second::double precision, :is_dry_run::boolean, :state::text,
            :horizon::xid8, :position::uuid, :created_by::text, :created_at::timestamptz, :outbox_id::uuid)
""")
_FIND = Statement(f"SELECT {_SHOWN} FROM replays r {_WITH_OUTBOX} WHERE r.id = :id::uuid")
_LIST = Statement(f"""
    SELECT {_SHOWN} FROM replays r {_WITH_OUTBOX} WHERE r.id < :before::uuid ORDER BY r.id DESC LIMIT :limit::integer
""")
_LOCK = Statement(f"SELECT {_COLUMNS} FROM replays r WHERE r.id = :id::uuid FOR UPDATE")
_LOCK_FREE = Statement(f"SELECT {_COLUMNS} FROM replays r WHERE r.id = :id::uuid FOR UPDATE SKIP LOCKED")
_LOCK_OF_ROW = Statement(f"SELECT {_COLUMNS} FROM replays r WHERE r.outbox_id = :row_id::uuid FOR UPDATE SKIP LOCKED")
_EXISTS_FOR_ROW = Statement("SELECT EXISTS (SELECT FROM replays WHERE outbox_id = :row_id::uuid)")
_DRY_RUNS = Statement("""
    SELECT id FROM replays WHERE state = 'running' AND is_dry_run ORDER BY id LIMIT :limit::integer
""")
_SAVE = Statement("""
    UPDATE replays
    SET state = :state::text, position = :position::uuid, checked = :checked::bigint, events = :events::json,
        unseen = :unseen::json, finished_at = :finished_at::timestamptz, outbox_id = :outbox_id::uuid,
        changed_by = :changed_by::text
    WHERE id = :id::uuid
""")
_EXPIRE = Statement("DELETE FROM replays WHERE state IN ('finished', 'canceled') AND created_at < :before::timestamptz")

NEWEST = UUID(int=2**128 - 1)


def count_open(transaction: Transaction) -> int:
    """Return how many replays have not ended. No other one begins until this transaction ends."""
    transaction.run(_LOCK_COUNT)
    return int(transaction.run(_COUNT_OPEN)[0][0])


def horizon(transaction: Transaction) -> str:
    """Return the number of this transaction, below which every one is that began to write before it."""
    return str(transaction.run(_HORIZON)[0][0])


def add(transaction: Transaction, replay: Replay) -> None:
    """Store a new replay."""
    transaction.run(
        _ADD,
        id=replay.id,
        consumer=replay.consumer,
        chosen=orjson.dumps(replay.types).decode(),
        begin_at=replay.begin_at,
        end_at=replay.end_at,
        rate_per_second=replay.rate_per_second,
        is_dry_run=replay.is_dry_run,
        state=str(replay.state),
        horizon=replay.horizon,
        position=replay.position,
        created_by=replay.created_by,
        created_at=replay.created_at,
        outbox_id=replay.outbox_id,
    )


def find(database: Database, replay_id: UUID) -> Replay | None:
    """Return the replay, None if there is none."""
    rows = database.run(_FIND, id=replay_id)
    return _shown(rows[0]) if rows else None


def list_before(database: Database, before: UUID, limit: int) -> list[Replay]:
    """Return replays with ids below this one, newest first."""
    return [_shown(row) for row in database.run(_LIST, before=before, limit=limit)]


def lock(transaction: Transaction, replay_id: UUID) -> Replay | None:
    """Lock the replay until the transaction ends, and return it; None if there is none."""
    rows = transaction.run(_LOCK, id=replay_id)
    return _from_row(rows[0]) if rows else None


def lock_free(transaction: Transaction, replay_id: UUID) -> Replay | None:
    """Lock the replay and return it; None if there is none, or another transaction holds it."""
    rows = transaction.run(_LOCK_FREE, id=replay_id)
    return _from_row(rows[0]) if rows else None


def lock_of_row(transaction: Transaction, row_id: str) -> Replay | None:
    """Lock the replay that goes on by this row of the outbox; None if there is none or another transaction holds it."""
    rows = transaction.run(_LOCK_OF_ROW, row_id=row_id)
    return _from_row(rows[0]) if rows else None


def exists_for_row(transaction: Transaction, row_id: str) -> bool:
    """Return whether a replay goes on by this row of the outbox."""
    exists: bool = transaction.run(_EXISTS_FOR_ROW, row_id=row_id)[0][0]
    return exists


def running_dry_runs(database: Database, limit: int) -> list[UUID]:
    """Return the dry runs that are not finished, the oldest first."""
    return [row[0] for row in database.run(_DRY_RUNS, limit=limit)]


def save(transaction: Transaction, replay: Replay) -> None:
    """Save the progress of a replay, which is locked."""
    transaction.run(
        _SAVE,
        id=replay.id,
        state=str(replay.state),
        position=replay.position,
        checked=replay.checked,
        events=orjson.dumps(replay.events).decode(),
        unseen=orjson.dumps(replay.unseen).decode(),
        finished_at=replay.finished_at,
        outbox_id=replay.outbox_id,
        changed_by=replay.changed_by,
    )


def expire(database: Database, before: datetime) -> None:
    """Delete replays that have ended and are older."""
    database.run(_EXPIRE, before=before)


def _shown(row: Row) -> Replay:
    return _from_row(row[:-1], row[-1])


def _from_row(row: Row, problem: str | None = None) -> Replay:
    types, state, horizon_, *values = row
    named = dict(zip(_NAMES, values, strict=True))
    return Replay(**named, types=tuple(types), state=ReplayState(state), horizon=horizon_, problem=problem)
