"""Dry runs and their progress."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import orjson

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row
from paybridge.fraud.domain.dry_run import DryRun, DryRunState

_COLUMNS = """
    id, merchant_id, rules, counted_from, begin_at, end_at, state, created_at, warm_up, total, read, checked, position,
    position_at, decisions, fired, samples, finished_at
"""

_FIND = Statement(f"""
    SELECT {_COLUMNS} FROM fraud_dry_runs WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid
""")

# One request or job at a time works on a dry run.
_LOCK = Statement(f"""
    SELECT {_COLUMNS} FROM fraud_dry_runs WHERE id = :id::uuid FOR UPDATE SKIP LOCKED
""")

_RUNNING = Statement("""
    SELECT id FROM fraud_dry_runs WHERE state = 'running' ORDER BY created_at, id LIMIT :limit::integer
""")

# A unique index allows a merchant one that is running. Two that begin at the same time wait for each other, and the
# second cancels the first.
_CANCEL = Statement("""
    UPDATE fraud_dry_runs SET state = 'canceled', finished_at = :now::timestamptz
    WHERE merchant_id = :merchant_id::uuid AND state = 'running'
""")

_ADD = Statement("""
    INSERT INTO fraud_dry_runs (id, merchant_id, rules, counted_from, begin_at, end_at, state, created_at, warm_up,
                                total)
    VALUES (:id::uuid, :merchant_id::uuid, :rules::json, :counted_from::timestamptz, :begin_at::timestamptz,
            :end_at::timestamptz, 'running', :created_at::timestamptz, :warm_up::bigint, :total::bigint)
    ON CONFLICT (merchant_id) WHERE state = 'running' DO NOTHING
    RETURNING id
""")

_SAVE = Statement("""
    UPDATE fraud_dry_runs
    SET state = :state::text, total = :total::bigint, read = :read::bigint, checked = :checked::bigint,
        position = :position::uuid, position_at = :position_at::timestamptz, decisions = :decisions::json,
        fired = :fired::json, samples = :samples::json, finished_at = :finished_at::timestamptz
    WHERE id = :id::uuid
""")

_EXPIRE = Statement("""
    WITH late AS (
        UPDATE fraud_dry_runs SET state = 'canceled', finished_at = :now::timestamptz
        WHERE state = 'running' AND created_at < :unfinished_before::timestamptz
    )
    DELETE FROM fraud_dry_runs WHERE state <> 'running' AND created_at < :kept_from::timestamptz
""")


def find(database: Database, merchant_id: UUID, dry_run_id: UUID) -> DryRun | None:
    """Return the merchant's dry run, None if there is none."""
    rows = database.run(_FIND, id=dry_run_id, merchant_id=merchant_id)
    return _from_row(rows[0]) if rows else None


def lock(transaction: Transaction, dry_run_id: UUID) -> DryRun | None:
    """Lock a dry run that is running; None if it is not, or another transaction works on it."""
    rows = transaction.run(_LOCK, id=dry_run_id)
    dry_run = _from_row(rows[0]) if rows else None
    return dry_run if dry_run is not None and dry_run.state is DryRunState.RUNNING else None


def running(database: Database, limit: int) -> list[UUID]:
    """Return the dry runs that are not finished, the oldest first."""
    return [row[0] for row in database.run(_RUNNING, limit=limit)]


def add(transaction: Transaction, dry_run: DryRun) -> bool:
    """Add a dry run in place of the merchant's running one; return False if another was added at the same time."""
    transaction.run(_CANCEL, merchant_id=dry_run.merchant_id, now=dry_run.created_at)
    added = transaction.run(
        _ADD,
        id=dry_run.id,
        merchant_id=dry_run.merchant_id,
        rules=orjson.dumps(dry_run.rules).decode(),
        counted_from=dry_run.counted_from,
        begin_at=dry_run.begin_at,
        end_at=dry_run.end_at,
        created_at=dry_run.created_at,
        warm_up=dry_run.warm_up,
        total=dry_run.total,
    )
    return bool(added)


def save(transaction: Transaction, dry_run: DryRun) -> None:
    """Save the progress of a dry run, which is locked."""
    transaction.run(
        _SAVE,
        id=dry_run.id,
        state=str(dry_run.state),
        total=dry_run.total,
        read=dry_run.read,
        checked=dry_run.checked,
        position=dry_run.position,
        position_at=dry_run.position_at,
        decisions=orjson.dumps(dry_run.decisions).decode(),
        fired=orjson.dumps(dry_run.fired).decode(),
        samples=orjson.dumps(dry_run.samples).decode(),
        finished_at=dry_run.finished_at,
    )


def expire(database: Database, now: datetime, *, unfinished_before: datetime, kept_from: datetime) -> None:
    """Cancel dry runs that were not finished in time, and delete old ones."""
    database.run(_EXPIRE, now=now, unfinished_before=unfinished_before, kept_from=kept_from)


def _from_row(row: Row) -> DryRun:
    values = dict(zip((name.strip() for name in _COLUMNS.split(",")), row, strict=True))
    return DryRun(**values | {"state": DryRunState(values["state"])})
