"""Attempts at charging payments, and the payments they settle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from paybridge.database.database import Statement, Transaction
from paybridge.payments.domain.charging import LastAttempt
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.store.row import COLUMNS, payment_of

# Ids are joined and not compared with ANY(…): of a join PostgreSQL looks each id up in its month alone, of an array in
# every month there is. Rows are locked in the order of their ids, so that two batches with the same payments never wait
# for each other.
_LOCK = Statement(f"""
    SELECT {COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
    WHERE p.status IN ('pending', 'processing')
    ORDER BY p.id
    FOR UPDATE OF p
""")

# A statement of its own, after the lock: it must see what another batch committed while this one waited.
_LAST = Statement("""
    SELECT DISTINCT ON (payment_id) payment_id, number, status, started_at
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payment_attempts ON payment_id = wanted.id
    WHERE operation = 'charge'
    ORDER BY payment_id, number DESC
""")

# Below, two hints keep PostgreSQL looking each payment up by its key, whatever it believes of the tables, which it may
# have met when they were empty. The limit is the number of rows and changes nothing: it has the planner expect a tenth
# of what it expects of JSON, and so begin with these and not with all payments of some status. The operation is joined
# like the rest of the key: as a constant it alone would let the whole index be read.
_CLOSE_ORPHANS = Statement("""
    WITH started AS MATERIALIZED (
        SELECT payment_id, 'charge' AS operation, number - 1 AS number
        FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number integer) LIMIT :length::integer
    )
    UPDATE payment_attempts a SET status = 'unknown', finished_at = now(), error = 'interrupted'
    FROM started
    WHERE a.payment_id = started.payment_id AND a.operation = started.operation AND a.number = started.number
      AND a.status = 'started'
""")

_START = Statement("""
    WITH started AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number smallint, sequence integer)
        LIMIT :length::integer
    ), moved AS (
        UPDATE payments p
        SET status = 'processing', last_sequence = started.sequence, updated_at = :now::timestamptz
        FROM started WHERE p.id = started.payment_id AND p.status = 'pending'
    )
    INSERT INTO payment_attempts (payment_id, operation, number, status, started_at)
    SELECT payment_id, 'charge', number, 'started', :now::timestamptz FROM started
""")

# A payment settles once: whoever comes second finds it no longer processing and changes nothing.
_FINISH = Statement("""
    WITH finished AS MATERIALIZED (
        SELECT *, 'charge' AS operation FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number smallint,
            attempt_status text, gateway_id text, error text, status text, failure_code text, failure_message text,
            captured_minor bigint)
        LIMIT :length::integer
    ), attempts AS (
        UPDATE payment_attempts a
        SET status = finished.attempt_status, gateway_id = finished.gateway_id, error = finished.error,
            failure_code = finished.failure_code, finished_at = :now::timestamptz
        FROM finished
        WHERE a.payment_id = finished.payment_id AND a.operation = finished.operation AND a.number = finished.number
          AND a.status IN ('started', 'unknown')
    ), locked AS (
        -- An UPDATE alone locks rows in whatever order its plan finds them; two batches must do so in the same one.
        SELECT finished.* FROM finished JOIN payments p ON p.id = finished.payment_id
        WHERE p.status = 'processing' AND finished.status IS NOT NULL
        ORDER BY p.id FOR UPDATE OF p
    )
    UPDATE payments p
    SET status = locked.status, failure_code = locked.failure_code, gateway_id = locked.gateway_id,
        failure_message = locked.failure_message, captured_minor = locked.captured_minor,
        last_sequence = p.last_sequence + 1, updated_at = :now::timestamptz
    FROM locked
    WHERE p.id = locked.payment_id AND p.status = 'processing'
    RETURNING p.id, p.last_sequence
""")

_STATUSES = Statement("""
    SELECT p.id, p.status FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
""")


@dataclass(frozen=True, slots=True)
class Chargeable:
    """A payment that is not settled yet, locked, with its newest attempt."""

    payment: Payment
    last: LastAttempt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How one attempt ended; `status` is None when the payment stays processing."""

    payment_id: UUID
    number: int
    attempt_status: str
    gateway_id: str | None = None
    error: str | None = None
    status: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    captured_minor: int = 0


def lock_chargeable(transaction: Transaction, ids: Sequence[UUID]) -> list[Chargeable]:
    """Locks those of the payments that are not settled, until the transaction ends."""
    payments = [payment_of(row) for row in transaction.run(_LOCK, ids=_array(ids))]
    processing = [payment.id for payment in payments if payment.status is not Status.PENDING]
    last: dict[UUID, LastAttempt] = {}
    # Only a payment that is processing has attempts: a batch of new payments need not ask.
    if processing:
        last = {row[0]: LastAttempt(*row[1:]) for row in transaction.run(_LAST, ids=_array(processing))}
    return [Chargeable(payment, last.get(payment.id)) for payment in payments]


def start(transaction: Transaction, attempts: Sequence[tuple[UUID, int, int]], now: datetime) -> None:
    """Records attempts as started: (payment, attempt number, sequence of the processing event).

    Pending payments become processing. An attempt before, whose owner died, is marked as unknown.
    """
    rows = [{"payment_id": id_, "number": number, "sequence": sequence} for id_, number, sequence in attempts]
    transaction.run(_START, rows=orjson.dumps(rows).decode(), length=len(rows), now=now)
    later = [row for row in rows if row["number"] != 1]
    if later:
        transaction.run(_CLOSE_ORPHANS, rows=orjson.dumps(later).decode(), length=len(later))


def finish(transaction: Transaction, finishes: Sequence[Finish], now: datetime) -> dict[UUID, int]:
    """Records how attempts ended, and settles their payments.

    Returns the payments that this call settled, each with the sequence of its outcome event; a payment that somebody
    else settled before is not among them.
    """
    rows = orjson.dumps([_finish_row(one) for one in finishes]).decode()
    return {row[0]: row[1] for row in transaction.run(_FINISH, rows=rows, length=len(finishes), now=now)}


def statuses(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Status]:
    """The present statuses of these payments."""
    return {row[0]: Status(row[1]) for row in transaction.run(_STATUSES, ids=_array(ids))} if ids else {}


def _finish_row(finish: Finish) -> dict[str, Any]:
    return {name: getattr(finish, name) for name in Finish.__dataclass_fields__}


def _array(ids: Sequence[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"
