"""Recoveries, their progress, and what they search for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.database.wire import Row
from paybridge.webhooks.domain.recovery import Recovery, RecoveryState
from paybridge.webhooks.store.deliveries import DeliveryKey, NewDelivery

_COLUMNS = """
    id, endpoint_id, merchant_id, since, until_xid::text, position_xid::text, position_id, state, checked, sent,
    created_at, finished_at
"""

# Every transaction that has begun to write has a lower number than this one.
#
# A request for an earlier time than the running recovery's makes that one begin again. What it has begun already is
# pending, or ended after `created_at`, so nothing is sent twice.
_START = Statement(f"""
    INSERT INTO webhook_recoveries AS running (id, endpoint_id, merchant_id, since, until_xid)
    VALUES (:id::uuid, :endpoint_id::uuid, :merchant_id::uuid, :since::timestamptz,
            pg_current_xact_id())
    ON CONFLICT (endpoint_id) WHERE state = 'running' DO UPDATE
    SET since = least(running.since, excluded.since),
        position_xid = CASE WHEN excluded.since < running.since THEN '0' ELSE running.position_xid END,
        position_id = CASE WHEN excluded.since < running.since THEN excluded.position_id ELSE running.position_id END,
        checked = CASE WHEN excluded.since < running.since THEN 0 ELSE running.checked END
    RETURNING {_COLUMNS}
""")

_GET = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_recoveries
    WHERE id = :id::uuid AND endpoint_id = :endpoint_id::uuid
      AND (merchant_id = :merchant_id::uuid OR :is_staff::boolean)
""")

_RUNNING = Statement("""
    SELECT id FROM webhook_recoveries WHERE state = 'running' ORDER BY created_at, id LIMIT :limit::integer
""")

# One request or job at a time works on a recovery.
_LOCK = Statement(f"""
    SELECT {_COLUMNS} FROM webhook_recoveries WHERE id = :id::uuid AND state = 'running' FOR UPDATE SKIP LOCKED
""")

# The order is that of the transactions: an event that may still commit is not passed, so none is skipped. An id is made
# moments before or after `created_at`.
_SCAN = Statement("""
    SELECT o.id, o.xid::text,
           CASE WHEN o.type = ANY (:wanted::text[]) AND o.created_at >= :since::timestamptz THEN o.body END
    FROM outbox o
    WHERE o.sequence > 0 AND o.id >= uuid7_floor(:since::timestamptz - interval '1 minute')
      AND (o.merchant_id, o.xid, o.id) > (:merchant_id::uuid, :after_xid::xid8, :after_id::uuid)
      AND (o.merchant_id, o.xid)
          < (:merchant_id::uuid, least(:until_xid::xid8, pg_snapshot_xmin(pg_current_snapshot())))
    ORDER BY o.merchant_id, o.xid, o.id
    LIMIT :limit::integer
""")

_IS_COMPLETE = Statement("SELECT :until_xid::xid8 <= pg_snapshot_xmin(pg_current_snapshot())")

_SAVE = Statement(f"""
    UPDATE webhook_recoveries
    SET position_xid = :position_xid::xid8, position_id = :position_id::uuid, state = :state::text,
        checked = :checked::bigint, sent = :sent::bigint,
        finished_at = CASE WHEN :state::text <> 'running' THEN now() END
    WHERE id = :id::uuid
    RETURNING {_COLUMNS}
""")

# With `next_attempt_at` only the recovery's command sends it, and not a message of the event that comes meanwhile.
_INSERT = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body,
                                    correlation_id, next_attempt_at)
    SELECT id, merchant_id, payment_id, endpoint_id, event_id, event_type, url, body, correlation_id, now()
    FROM json_to_recordset(:rows::json) AS new (id uuid, merchant_id uuid, payment_id uuid, endpoint_id uuid,
        event_id uuid, event_type text, url text, body text, correlation_id text)
    ORDER BY id
    ON CONFLICT (id) DO NOTHING
    RETURNING id, merchant_id, payment_id, correlation_id, endpoint_id
""")

_LOCK_MISSED = Statement("""
    SELECT d.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN webhook_deliveries d ON d.id = wanted.id
    WHERE d.status IN ('failed', 'gone', 'canceled') AND d.finished_at < :before::timestamptz
      AND d.attempts < :attempts_max::smallint
    ORDER BY d.id
    FOR UPDATE OF d
""")


class PassedEvent(NamedTuple):
    """An event that was looked at. `body` is None if the endpoint does not want it."""

    id: UUID
    xid: int
    body: str | None


def start(transaction: Transaction, id_: UUID, merchant_id: UUID, endpoint_id: UUID, since: datetime) -> Recovery:
    """Add a recovery, or let the endpoint's running one search from the earlier of both times; return it."""
    [row] = transaction.run(_START, id=id_, merchant_id=merchant_id, endpoint_id=endpoint_id, since=since)
    return _recovery_of(row)


def get(database: Database, merchant_id: UUID | None, endpoint_id: UUID, id_: UUID) -> Recovery | None:
    """Return the recovery of the endpoint; None if there is none or it is another merchant's than the one given."""
    rows = database.run(_GET, id=id_, endpoint_id=endpoint_id, merchant_id=merchant_id, is_staff=merchant_id is None)
    return _recovery_of(rows[0]) if rows else None


def running(database: Database, limit: int) -> list[UUID]:
    """Return the recoveries that still search, the oldest first."""
    return [row[0] for row in database.run(_RUNNING, limit=limit)]


def lock(transaction: Transaction, id_: UUID) -> Recovery | None:
    """Lock a running recovery; None if it is not running, or another transaction works on it."""
    rows = transaction.run(_LOCK, id=id_)
    return _recovery_of(rows[0]) if rows else None


def scan(transaction: Transaction, recovery: Recovery, types: Sequence[str], limit: int) -> list[PassedEvent]:
    """Return the merchant's next events after the position, with the bodies of those of these types."""
    after_xid, after_id = recovery.position
    rows = transaction.run(
        _SCAN,
        merchant_id=recovery.merchant_id,
        since=recovery.since,
        until_xid=str(recovery.until_xid),
        wanted="{" + ",".join(types) + "}",
        after_xid=str(after_xid),
        after_id=after_id,
        limit=limit,
    )
    return [PassedEvent(row[0], int(row[1]), row[2]) for row in rows]


def is_complete(transaction: Transaction, recovery: Recovery) -> bool:
    """Tell whether every transaction that had begun when the recovery was asked for has ended.

    Ask this before `scan`: what commits in between would be missed.
    """
    complete: bool = transaction.run(_IS_COMPLETE, until_xid=str(recovery.until_xid))[0][0]
    return complete


def save(transaction: Transaction, recovery: Recovery) -> Recovery:
    """Save the progress of a recovery, which is locked; return it as it is stored."""
    xid, id_ = recovery.position
    [row] = transaction.run(
        _SAVE,
        id=recovery.id,
        position_xid=str(xid),
        position_id=id_,
        state=str(recovery.state),
        checked=recovery.checked,
        sent=recovery.sent,
    )
    return _recovery_of(row)


def insert(transaction: Transaction, deliveries: Iterable[NewDelivery]) -> list[DeliveryKey]:
    """Create the deliveries that do not exist, due now, and return them."""
    return [DeliveryKey(*row) for row in transaction.run(_INSERT, rows=json_rows(deliveries))]


def lock_missed(transaction: Transaction, ids: Iterable[UUID], before: datetime, attempts_max: int) -> list[UUID]:
    """Lock those of the deliveries that ended without success before this time, and return their ids."""
    rows = transaction.run(_LOCK_MISSED, ids=uuid_array(ids), before=before, attempts_max=attempts_max)
    return [row[0] for row in rows]


def _recovery_of(row: Row) -> Recovery:
    id_, endpoint_id, merchant_id, since, until_xid, xid, position_id, state, checked, sent, *times = row
    created_at, finished_at = times
    return Recovery(
        id=id_,
        endpoint_id=endpoint_id,
        merchant_id=merchant_id,
        since=since,
        until_xid=int(until_xid),
        position=(int(xid), position_id),
        state=RecoveryState(state),
        checked=checked,
        sent=sent,
        created_at=created_at,
        finished_at=finished_at,
    )
