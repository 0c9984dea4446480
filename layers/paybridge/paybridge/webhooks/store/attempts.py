"""The attempts at webhook deliveries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.webhooks.domain.states import DeliveryAttemptStatus, DeliveryStatus

# A started attempt that is not the last one belongs to a process that died.
_CLOSE_INTERRUPTED = Statement("""
    UPDATE webhook_attempts a SET status = 'failed', error = 'interrupted', finished_at = clock_timestamp()
    FROM json_to_recordset(:rows::json) AS next (id uuid, number smallint)
    WHERE a.delivery_id = next.id AND a.number < next.number AND a.status = 'started'
""")

# Start an attempt only of a pending delivery, and only as the one after its last: what has ended stays ended.
_START = Statement("""
    WITH started AS (
        SELECT d.id, wanted.number
        FROM webhook_deliveries d
        JOIN json_to_recordset(:rows::json) AS wanted (id uuid, number smallint) ON wanted.id = d.id
        WHERE d.status = 'pending' AND d.attempts = wanted.number - 1
        ORDER BY d.id FOR UPDATE OF d
    ), counted AS (
        UPDATE webhook_deliveries d SET attempts = started.number FROM started WHERE d.id = started.id
    )
    INSERT INTO webhook_attempts (delivery_id, number, status) SELECT id, number, 'started' FROM started
    ON CONFLICT (delivery_id, number) DO NOTHING
    RETURNING delivery_id
""")

# An attempt that was closed as interrupted may still be answered: a late answer is the truth.
_FINISH = Statement("""
    WITH finished AS (
        SELECT * FROM json_to_recordset(:rows::json) AS row (delivery_id uuid, number smallint, attempt_status text,
            response_status smallint, error text, response_excerpt text, latency_ms integer, status text,
            delay_seconds double precision)
    ), attempts AS (
        UPDATE webhook_attempts a
        SET status = finished.attempt_status, response_status = finished.response_status, error = finished.error,
            response_excerpt = finished.response_excerpt, latency_ms = finished.latency_ms,
            finished_at = clock_timestamp()
        FROM finished
        WHERE a.delivery_id = finished.delivery_id AND a.number = finished.number
          AND (a.status = 'started' OR a.error = 'interrupted')
    )
    UPDATE webhook_deliveries d
    SET status = finished.status,
        next_attempt_at = now() + make_interval(secs => finished.delay_seconds),
        finished_at = CASE WHEN finished.status <> 'pending' THEN clock_timestamp() END
    FROM finished
    WHERE d.id = finished.delivery_id AND d.status = 'pending'
    RETURNING d.id
""")


class AttemptKey(NamedTuple):
    """Which attempt of which delivery, counted from 1."""

    delivery_id: UUID
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedAttempt:
    """How an attempt ended, and the status of its delivery. `delay_seconds` is None if no attempt follows."""

    delivery_id: UUID
    number: int
    attempt_status: DeliveryAttemptStatus
    response_status: int | None
    error: str | None
    response_excerpt: str
    latency_ms: int
    status: DeliveryStatus
    delay_seconds: float | None


def close_interrupted(transaction: Transaction, attempts: Iterable[AttemptKey]) -> None:
    """Close the started attempts that precede these as failed, with the error `interrupted`."""
    transaction.run(_CLOSE_INTERRUPTED, rows=_key_rows(attempts))


def start(transaction: Transaction, attempts: Iterable[AttemptKey]) -> set[UUID]:
    """Record the attempts as started; return the deliveries whose attempt is ours.

    Another process may have started the same attempt meanwhile.
    """
    return {delivery_id for (delivery_id,) in transaction.run(_START, rows=_key_rows(attempts))}


def finish(transaction: Transaction, attempts: Iterable[FinishedAttempt]) -> set[UUID]:
    """Record how the attempts ended; return the deliveries that were pending until now."""
    return {delivery_id for (delivery_id,) in transaction.run(_FINISH, rows=json_rows(attempts))}


def _key_rows(attempts: Iterable[AttemptKey]) -> str:
    return json_rows({"id": attempt.delivery_id, "number": attempt.number} for attempt in attempts)
