"""Attempts at charges, and the payments they settle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.payments.domain.charging import AttemptStatus, LastAttempt
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.store.row import COLUMNS, payment_from_row

# Ids are joined and not compared with ANY(…): a join looks each id up in its month alone, an array in every month. The
# row of a payment that another transaction holds is skipped, because the batch shall not wait for it.
_LOCK = Statement(f"""
    SELECT {COLUMNS} FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
    WHERE p.status IN ('pending', 'processing')
    ORDER BY p.id
    FOR UPDATE OF p SKIP LOCKED
""")

# A second statement, after the lock, sees what another batch has committed since the first one began.
_LAST = Statement("""
    SELECT DISTINCT ON (payment_id) payment_id, number, status, coalesce(asked_at, started_at), asks,
           pending_at IS NOT NULL, started_at
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payment_attempts ON payment_id = wanted.id
    WHERE operation = 'charge'
    ORDER BY payment_id, number DESC
""")

# Two hints below make PostgreSQL look each payment up by its key, whatever its statistics say: it may have planned when
# the tables were empty. The limit is the number of rows and changes no result. It makes the planner expect a tenth of
# the rows it expects from JSON, so that it begins with them and not with all payments of some status. The operation is
# joined like the rest of the key, because as a constant it would allow a scan of the whole index.
_CLOSE_ORPHANS = Statement("""
    WITH started AS MATERIALIZED (
        SELECT payment_id, 'charge' AS operation, number - 1 AS number
        FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number integer) LIMIT :length::integer
    )
    UPDATE payment_attempts a SET status = 'unknown', finished_at = :now::timestamptz, error = 'interrupted'
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

# An attempt that is gone on with belongs to this process, for the lease, as a new one does.
_ASK = Statement("""
    WITH asked AS MATERIALIZED (
        SELECT *, 'charge' AS operation
        FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number smallint, ask integer)
        LIMIT :length::integer
    )
    UPDATE payment_attempts a SET status = 'started', asks = asked.ask, asked_at = :now::timestamptz, finished_at = NULL
    FROM asked
    WHERE a.payment_id = asked.payment_id AND a.operation = asked.operation AND a.number = asked.number
""")

# A payment settles once: the second to come finds it no longer processing and changes nothing.
_FINISH = Statement("""
    WITH finished AS MATERIALIZED (
        SELECT *, 'charge' AS operation FROM json_to_recordset(:rows::json) AS row (payment_id uuid, number smallint,
            attempt_status text, gateway_id text, gateway_code text, approved_minor bigint, error text, status text,
            failure_code text, failure_message text, captured_minor bigint)
        LIMIT :length::integer
    ), attempts AS (
        UPDATE payment_attempts a
        SET status = finished.attempt_status, gateway_id = finished.gateway_id, error = finished.error,
            gateway_code = finished.gateway_code, approved_minor = finished.approved_minor,
            failure_code = finished.failure_code, finished_at = :now::timestamptz,
            pending_at = CASE WHEN finished.attempt_status = 'pending' THEN coalesce(a.pending_at, :now::timestamptz)
                              ELSE a.pending_at END
        FROM finished
        WHERE a.payment_id = finished.payment_id AND a.operation = finished.operation AND a.number = finished.number
          AND a.status IN ('started', 'unknown', 'pending', 'rate_limited')
    ), locked AS (
        -- An UPDATE alone locks rows in the order of its plan. Two batches must lock in the same order.
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

_FIND_SKIPPED = Statement("""
    SELECT p.id, p.merchant_id, p.correlation_id, p.status IN ('pending', 'processing')
    FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
""")


class SkippedPayment(NamedTuple):
    """A payment that was not locked: because it is no longer open, or because another transaction holds its row."""

    id: UUID
    merchant_id: UUID
    correlation_id: str
    is_open: bool


class Chargeable(NamedTuple):
    """An open payment, locked, with its newest attempt."""

    payment: Payment
    last: LastAttempt | None


@dataclass(frozen=True, slots=True)
class AttemptStart:
    """An attempt to record as started, or with `ask` above 0 as gone on with.

    `sequence` is the payment's last, which counts the processing event.
    """

    payment_id: UUID
    number: int
    sequence: int
    ask: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How one attempt ended; `status` is the payment's new one, None if the payment stays processing.

    `approved_minor` is set where the gateway took less than was asked for. `gateway_code` is the gateway's own word for
    a decline.
    """

    payment_id: UUID
    number: int
    attempt_status: AttemptStatus
    gateway_id: str | None
    gateway_code: str | None
    approved_minor: int | None
    error: str | None
    status: Status | None
    failure_code: str | None
    failure_message: str | None
    captured_minor: int


def lock_chargeable(transaction: Transaction, ids: Sequence[UUID]) -> list[Chargeable]:
    """Lock the open ones among the payments until the transaction ends, but for those that another one holds."""
    payments = [payment_from_row(row) for row in transaction.run(_LOCK, ids=uuid_array(ids))]
    processing = [payment.id for payment in payments if payment.status is not Status.PENDING]
    last: dict[UUID, LastAttempt] = {}
    # Only a payment that is processing has attempts: a batch of new payments need not ask.
    if processing:
        for payment_id, number, status, *rest in transaction.run(_LAST, ids=uuid_array(processing)):
            last[payment_id] = LastAttempt(number, AttemptStatus(status), *rest)
    return [Chargeable(payment, last.get(payment.id)) for payment in payments]


def find_skipped(transaction: Transaction, ids: Collection[UUID]) -> list[SkippedPayment]:
    """Return those that exist among the payments that `lock_chargeable` did not lock."""
    return [SkippedPayment(*row) for row in transaction.run(_FIND_SKIPPED, ids=uuid_array(ids))] if ids else []


def start(transaction: Transaction, starts: Sequence[AttemptStart], now: datetime) -> None:
    """Record attempts as started; pending payments become processing.

    The attempt before each new one, if its process died, is closed as unknown.
    """
    asked = [each for each in starts if each.ask]
    if asked:
        transaction.run(_ASK, rows=json_rows(asked), length=len(asked), now=now)
        starts = [each for each in starts if not each.ask]
    if starts:
        transaction.run(_START, rows=json_rows(starts), length=len(starts), now=now)
    later = [each for each in starts if each.number != 1]
    if later:
        transaction.run(_CLOSE_ORPHANS, rows=json_rows(later), length=len(later), now=now)


def finish(transaction: Transaction, results: Sequence[AttemptResult], now: datetime) -> dict[UUID, int]:
    """Record how attempts ended, and settle their payments.

    Return the payments that this call settled, each with the sequence of its outcome event. Payments that were settled
    before are left out.
    """
    rows = json_rows(results)
    return {row[0]: row[1] for row in transaction.run(_FINISH, rows=rows, length=len(results), now=now)}


def statuses(transaction: Transaction, ids: Sequence[UUID]) -> dict[UUID, Status]:
    """Return the present statuses of the payments that exist."""
    return {row[0]: Status(row[1]) for row in transaction.run(_STATUSES, ids=uuid_array(ids))} if ids else {}
