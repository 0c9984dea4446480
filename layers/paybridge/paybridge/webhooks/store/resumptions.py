"""Resumptions: how far the deliveries that waited for an endpoint go on again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.webhooks.domain.resumption import WAITING_SHOWN_MAX, Resumption
from paybridge.webhooks.store.deliveries import DeliveryKey

# An endpoint that is enabled again before the last resumption ended begins at the oldest delivery. It keeps the pace.
_START = Statement("""
    INSERT INTO webhook_resumptions AS r (endpoint_id, started_at) VALUES (:endpoint_id::uuid, :started_at::timestamptz)
    ON CONFLICT (endpoint_id) DO UPDATE
    SET started_at = excluded.started_at, position_id = excluded.position_id, resumed = 0
""")

# What waited when the endpoint was enabled goes on, and nothing else: a resumption ends, whatever happens later. The id
# of a delivery carries the time of its event, by a clock that may be moments ahead. A delivery of an older event may be
# created later, or be tried before the resumption comes to it. What has failed since then keeps the time that its
# schedule or the receiver's `Retry-After` has set.
_END_ID = "uuid7_floor({started_at} + interval '1 minute')"
_NOT_TRIED_SINCE = """coalesce((
            SELECT a.finished_at < {started_at} FROM webhook_attempts a
            WHERE a.delivery_id = d.id AND a.number = d.attempts), true)"""

_RUNNING = Statement("""
    SELECT endpoint_id FROM webhook_resumptions ORDER BY started_at, endpoint_id LIMIT :limit::integer
""")

# One request or job at a time works on a resumption.
_LOCK = Statement("""
    SELECT started_at, position_id, resumed, greatest(0, extract(epoch FROM paced_until - now()))::float8
    FROM webhook_resumptions WHERE endpoint_id = :endpoint_id::uuid
    FOR UPDATE SKIP LOCKED
""")

_SAVE = Statement("""
    UPDATE webhook_resumptions
    SET position_id = :position_id::uuid, resumed = :resumed::bigint,
        paced_until = now() + make_interval(secs => :ahead_seconds::double precision)
    WHERE endpoint_id = :endpoint_id::uuid
""")

_END = Statement("DELETE FROM webhook_resumptions WHERE endpoint_id = :endpoint_id::uuid")

# What is due earlier anyway keeps its time. A row that another transaction holds is passed over and looked at when it
# was going to be: to wait for it could be to wait for one that waits for this endpoint.
_SCHEDULE = Statement(f"""
    WITH waiting AS MATERIALIZED (
        SELECT d.id FROM webhook_deliveries d
        WHERE d.endpoint_id = :endpoint_id::uuid AND d.id > :after::uuid
          AND d.id < {_END_ID.format(started_at=":started_at::timestamptz")} AND d.status = 'pending'
          AND d.next_attempt_at > now() + make_interval(secs => :ahead_seconds::double precision)
          AND {_NOT_TRIED_SINCE.format(started_at=":started_at::timestamptz")}
        ORDER BY d.id LIMIT :limit::integer
        FOR UPDATE SKIP LOCKED
    ), paced AS (
        SELECT id, :ahead_seconds::double precision
                   + (row_number() OVER (ORDER BY id) - 1) / :per_second::double precision AS delay_seconds
        FROM waiting
    )
    UPDATE webhook_deliveries d
    SET next_attempt_at = least(d.next_attempt_at, now() + make_interval(secs => paced.delay_seconds))
    FROM paced WHERE d.id = paced.id
    RETURNING d.id, d.merchant_id, d.payment_id, d.correlation_id, d.endpoint_id, paced.delay_seconds
""")

_READ = Statement(f"""
    SELECT r.endpoint_id, r.started_at, r.resumed, (
        SELECT count(*) FROM (
            SELECT FROM webhook_deliveries d
            WHERE d.endpoint_id = r.endpoint_id AND d.id > r.position_id
              AND d.id < {_END_ID.format(started_at="r.started_at")} AND d.status = 'pending'
              AND d.next_attempt_at > r.paced_until
              AND {_NOT_TRIED_SINCE.format(started_at="r.started_at")}
            LIMIT :waiting_max::integer) AS waiting)
    FROM webhook_resumptions r WHERE r.endpoint_id = ANY (:endpoint_ids::uuid[])
""")


class ResumptionProgress(NamedTuple):
    """When a resumption began, and how far it is.

    That is the last delivery, how many there were, and for how many seconds it is scheduled.
    """

    started_at: datetime
    position: UUID
    resumed: int
    ahead_seconds: float


class PacedDelivery(NamedTuple):
    """A delivery that goes on after the delay."""

    key: DeliveryKey
    delay_seconds: float


def start(transaction: Transaction, endpoint_id: UUID, started_at: datetime) -> None:
    """Begin a resumption of the endpoint, which is locked."""
    transaction.run(_START, endpoint_id=endpoint_id, started_at=started_at)


def running(database: Database, limit: int) -> list[UUID]:
    """Return the endpoints whose resumption has not ended, the oldest first."""
    return [row[0] for row in database.run(_RUNNING, limit=limit)]


def lock(transaction: Transaction, endpoint_id: UUID) -> ResumptionProgress | None:
    """Lock a resumption; None if there is none, or another transaction works on it."""
    rows = transaction.run(_LOCK, endpoint_id=endpoint_id)
    return ResumptionProgress(*rows[0]) if rows else None


def save(transaction: Transaction, endpoint_id: UUID, progress: ResumptionProgress) -> None:
    """Save the progress of a resumption, which is locked."""
    transaction.run(
        _SAVE,
        endpoint_id=endpoint_id,
        position_id=progress.position,
        resumed=progress.resumed,
        ahead_seconds=progress.ahead_seconds,
    )


def end(transaction: Transaction, endpoint_id: UUID) -> None:
    """End the resumption of an endpoint, if there is one."""
    transaction.run(_END, endpoint_id=endpoint_id)


def schedule(
    transaction: Transaction, endpoint_id: UUID, progress: ResumptionProgress, *, per_second: float, limit: int
) -> list[PacedDelivery]:
    """Schedule the next deliveries that wait for the endpoint one after another, and return them in this order."""
    rows = transaction.run(
        _SCHEDULE,
        endpoint_id=endpoint_id,
        after=progress.position,
        started_at=progress.started_at,
        ahead_seconds=progress.ahead_seconds,
        per_second=per_second,
        limit=limit,
    )
    return [PacedDelivery(DeliveryKey(*row[:-1]), row[-1]) for row in sorted(rows)]


def find(database: Database, endpoint_ids: Collection[UUID]) -> dict[UUID, Resumption]:
    """Return the resumptions of these endpoints that have not ended, by endpoint."""
    if not endpoint_ids:
        return {}
    rows = database.run(_READ, endpoint_ids=uuid_array(endpoint_ids), waiting_max=WAITING_SHOWN_MAX)
    return {row[0]: Resumption(*row[1:]) for row in rows}
