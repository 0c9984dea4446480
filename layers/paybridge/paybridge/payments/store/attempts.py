"""Attempts at operations: how they begin and end, and what their outcomes change in the payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.payments.domain.operation import Operation, OperationStatus
from paybridge.payments.domain.outcome import Effect
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.store.operation_row import UNSETTLED

# Two hints below make PostgreSQL look each row up by its key, whatever its statistics say: it may have planned when the
# tables were empty. The limit is the number of rows and changes no result. It makes the planner expect a tenth of the
# rows it expects from JSON, so that it begins with them and not with all rows of some status.
_BEGIN = Statement("""
    WITH begun AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, merchant_id uuid, kind text, gateway text,
            amount_minor bigint, correlation_id text, version integer, sequence integer, screening json)
        LIMIT :length::integer
    ), moved AS (
        UPDATE payments p
        SET status = 'processing', gateway = begun.gateway, screening = begun.screening, version = begun.version,
            last_sequence = begun.sequence, updated_at = :now::timestamptz
        FROM begun WHERE p.id = begun.id AND p.status = 'pending'
    )
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            correlation_id, created_at, updated_at)
    SELECT id, id, merchant_id, kind, gateway, amount_minor, 'started', 1, :now::timestamptz, correlation_id,
           :now::timestamptz, :now::timestamptz
    FROM begun
""")

# The newest attempt stands in the operation. When another one follows, it gets a row. That of a process that died has
# no end, and ends as unknown.
_START = Statement("""
    WITH started AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, number smallint)
        LIMIT :length::integer
    ), earlier AS (
        INSERT INTO operation_attempts (operation_id, number, status, gateway_id, failure_code, gateway_code,
                                        approved_minor, error, started_at, pending_at, finished_at)
        SELECT o.id, o.number, CASE WHEN o.status = 'started' THEN 'unknown' ELSE o.attempt_status END,
               o.gateway_id, o.failure_code, o.gateway_code,
               o.approved_minor, CASE WHEN o.status = 'started' THEN 'interrupted' ELSE o.error END, o.started_at,
               o.pending_at, coalesce(o.finished_at, :now::timestamptz)
        FROM started JOIN operations o ON o.id = started.id
        WHERE o.number = started.number - 1 AND o.number > 0
        ON CONFLICT (operation_id, number) DO NOTHING
    )
    UPDATE operations o
    SET status = 'started', number = started.number, asks = 0, started_at = :now::timestamptz, asked_at = NULL,
        finished_at = NULL, attempt_status = NULL, error = NULL, updated_at = :now::timestamptz
    FROM started WHERE o.id = started.id
""")

# An attempt that continues belongs to this process, for the lease, as a new one does.
_ASK = Statement("""
    WITH asked AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, ask integer)
        LIMIT :length::integer
    )
    UPDATE operations o
    SET status = 'started', asks = asked.ask, asked_at = :now::timestamptz, finished_at = NULL,
        updated_at = :now::timestamptz
    FROM asked WHERE o.id = asked.id
""")

# An operation settles once: the second outcome finds it settled and changes nothing. That the gateway knew of none says
# nothing about a call that another process has begun since, so only the newest call gives up. An operation settles only
# together with its payment, which must be as the outcome needs it. Payments are locked first, in the order of their
# ids, as everywhere. Several refunds of one payment may settle together, so their amounts are added up.
_FINISH = Statement(f"""
    WITH finished AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, payment_id uuid, number smallint,
            ask integer, attempt_status text, started_at timestamptz, gateway_id text, gateway_code text,
            approved_minor bigint, error text, outcome text, gave_up boolean, failure_code text, failure_message text,
            subject_events smallint, effect text, status text, payment_failure_code text,
            payment_failure_message text, authorized_minor bigint, captured_minor bigint, refunded_minor bigint,
            reserved_minor bigint, capture_before timestamptz, events smallint)
        LIMIT :length::integer
    ), locked AS MATERIALIZED (
        -- An UPDATE alone locks rows in the order of its plan. Two batches must lock in the same order.
        SELECT finished.*, p.status AS payment_status, p.pending_operation_id, p.refunding_minor
        FROM finished JOIN payments p ON p.id = finished.payment_id
        WHERE finished.effect IS NOT NULL
        ORDER BY p.id FOR UPDATE OF p
    ), due AS MATERIALIZED (
        SELECT locked.* FROM locked
        WHERE CASE locked.effect WHEN '{Effect.FIRST}' THEN locked.payment_status = 'processing'
                                 WHEN '{Effect.HOLD}' THEN locked.pending_operation_id = locked.id
                                 ELSE locked.refunding_minor >= locked.reserved_minor END
      UNION ALL
        SELECT finished.*, NULL, NULL, NULL FROM finished WHERE finished.effect IS NULL
    ), settled AS (
        UPDATE operations o
        SET status = coalesce(due.outcome, due.attempt_status), updated_at = :now::timestamptz,
            gateway_id = coalesce(due.gateway_id, o.gateway_id),
            failure_code = CASE WHEN due.outcome = 'declined' THEN due.failure_code END,
            failure_message = CASE WHEN due.outcome = 'declined' THEN due.failure_message END,
            approved_minor = CASE WHEN due.outcome = 'partial' THEN due.approved_minor END,
            pending_at = CASE WHEN due.attempt_status = 'pending' THEN coalesce(o.pending_at, :now::timestamptz)
                              ELSE o.pending_at END,
            attempt_status = due.attempt_status, gateway_code = due.gateway_code, error = due.error,
            last_sequence = o.last_sequence + coalesce(due.subject_events, 0), finished_at = :now::timestamptz
        FROM due
        WHERE o.id = due.id AND o.status IN {UNSETTLED}
          AND CASE WHEN due.gave_up THEN o.number = due.number AND o.asks = due.ask
                   ELSE due.outcome IS NOT NULL OR o.number = due.number END
        RETURNING o.id, o.payment_id, o.number, due.outcome, o.last_sequence, due.effect, due.status,
                  due.payment_failure_code, due.payment_failure_message, due.gateway_id,
                  due.authorized_minor, due.captured_minor, due.refunded_minor,
                  due.reserved_minor, due.capture_before, due.events
    ), changes AS (
        SELECT payment_id, max(effect) AS effect, max(status) AS status, max(payment_failure_code) AS failure_code,
               max(payment_failure_message) AS failure_message, max(gateway_id) AS gateway_id,
               max(authorized_minor) AS authorized_minor, max(captured_minor) AS captured_minor,
               coalesce(sum(refunded_minor), 0)::bigint AS refunded_minor,
               coalesce(sum(reserved_minor), 0)::bigint AS reserved_minor,
               max(capture_before) AS capture_before, coalesce(max(events), 0) AS events,
               max(number) FILTER (WHERE effect = '{Effect.FIRST}') AS number
        FROM settled WHERE effect IS NOT NULL GROUP BY payment_id
    ), moved AS (
        UPDATE payments p
        SET status = CASE
                WHEN changes.effect <> '{Effect.REFUND}' THEN coalesce(changes.status, p.status)
                WHEN p.refunded_minor + changes.refunded_minor = 0 THEN 'succeeded'
                WHEN p.refunded_minor + changes.refunded_minor < p.captured_minor THEN 'partially_refunded'
                ELSE 'refunded' END,
            failure_code = coalesce(changes.failure_code, p.failure_code),
            failure_message = coalesce(changes.failure_message, p.failure_message),
            gateway_id = CASE WHEN changes.effect = '{Effect.FIRST}' THEN changes.gateway_id ELSE p.gateway_id END,
            authorized_minor = coalesce(changes.authorized_minor, p.authorized_minor),
            captured_minor = coalesce(changes.captured_minor, p.captured_minor),
            refunded_minor = p.refunded_minor + changes.refunded_minor,
            refunding_minor = p.refunding_minor - changes.reserved_minor,
            capture_before = coalesce(changes.capture_before, p.capture_before),
            capturing_minor = 0, pending_operation = NULL, pending_operation_id = NULL,
            pending_operation_since = NULL, version = p.version + 1,
            last_sequence = p.last_sequence + changes.events, updated_at = :now::timestamptz
        FROM changes WHERE p.id = changes.payment_id
        RETURNING p.id, changes.number, p.last_sequence
    )
    -- A first operation has the id of its payment, so one row speaks for both.
    SELECT id, number, outcome IS NOT NULL, last_sequence, NULL
    FROM settled WHERE effect IS DISTINCT FROM '{Effect.FIRST}'
    UNION ALL
    SELECT id, number, true, 0, last_sequence FROM moved
""")

# The answer to an attempt that another one followed, or of an operation that settled before.
_NOTE = Statement("""
    UPDATE operation_attempts a
    SET status = row.attempt_status, gateway_id = row.gateway_id, failure_code = row.failure_code,
        gateway_code = row.gateway_code, approved_minor = row.approved_minor, error = row.error,
        pending_at = CASE WHEN row.attempt_status = 'pending' THEN coalesce(a.pending_at, :now::timestamptz)
                          ELSE a.pending_at END,
        finished_at = :now::timestamptz
    FROM json_to_recordset(:rows::json) AS row (id uuid, number smallint, attempt_status text, gateway_id text,
        failure_code text, gateway_code text, approved_minor bigint, error text)
    WHERE a.operation_id = row.id AND a.number = row.number AND a.status IN ('pending', 'rate_limited', 'unknown')
""")


@dataclass(frozen=True, slots=True)
class AttemptStart:
    """An attempt to record as started, or with `ask` above 0 as continued."""

    id: UUID
    number: int
    ask: int = 0


# Not frozen, because that sets each of its many fields at three times the cost.
@dataclass(slots=True, kw_only=True)
class AttemptResult:
    """How one attempt ended, what that makes of the operation `id`, and what it changes in the payment.

    `outcome` is None if the operation stays open. `gave_up`: it ends because the gateway, asked after the call `ask` of
    the attempt, knew of none. `effect` is None if the payment does not change; the fields after it are those of
    PaymentChange. `events` counts the events about the payment, `subject_events` those about the refund. `gateway_code`
    is the gateway's own word for a decline.
    """

    id: UUID
    payment_id: UUID
    number: int
    started_at: datetime
    attempt_status: OperationStatus
    ask: int = 0
    gateway_id: str | None = None
    gateway_code: str | None = None
    approved_minor: int | None = None
    error: str | None = None
    outcome: OperationStatus | None = None
    gave_up: bool = False
    failure_code: str | None = None
    failure_message: str | None = None
    subject_events: int = 0
    effect: Effect | None = None
    status: Status | None = None
    payment_failure_code: str | None = None
    payment_failure_message: str | None = None
    authorized_minor: int | None = None
    captured_minor: int | None = None
    refunded_minor: int = 0
    reserved_minor: int = 0
    capture_before: datetime | None = None
    events: int = 0


class Settled(NamedTuple):
    """The sequences of the last events about an operation that has settled and about its payment.

    That of the payment is None if the payment did not change.
    """

    sequence: int
    payment_sequence: int | None


def begin(transaction: Transaction, payments: Sequence[tuple[Payment, Operation]], now: datetime) -> None:
    """Record the first attempt at the charge or authorization of each payment, which is processing now."""
    if not payments:
        return
    rows = [
        {
            "id": payment.id,
            "merchant_id": payment.merchant_id,
            "kind": operation.kind,
            "gateway": operation.gateway,
            "amount_minor": operation.amount_minor,
            "correlation_id": payment.correlation_id,
            "version": payment.version,
            "sequence": payment.last_sequence,
            "screening": payment.screening,
        }
        for payment, operation in payments
    ]
    transaction.run(_BEGIN, rows=json_rows(rows), length=len(rows), now=now)


def start(transaction: Transaction, starts: Sequence[AttemptStart], now: datetime) -> None:
    """Record attempts at operations that exist as started.

    The attempt before each new one, if its process died, is ended as unknown.
    """
    asked = [each for each in starts if each.ask]
    if asked:
        transaction.run(_ASK, rows=json_rows(asked), length=len(asked), now=now)
    new = [each for each in starts if not each.ask]
    if new:
        transaction.run(_START, rows=json_rows(new), length=len(new), now=now)


def finish(transaction: Transaction, results: Sequence[AttemptResult], now: datetime) -> dict[UUID, Settled]:
    """Record how attempts ended, settle their operations, and change their payments.

    Return the operations that this call settled. Those that were settled before are left out.
    """
    settled: dict[UUID, Settled] = {}
    payments: dict[UUID, int] = {}
    newest: dict[UUID, int] = {}
    for id_, number, is_settled, sequence, payment_sequence in transaction.run(
        _FINISH, rows=json_rows(results), length=len(results), now=now
    ):
        if number is None:
            payments[id_] = payment_sequence
            continue
        newest[id_] = number
        if is_settled:
            settled[id_] = Settled(sequence, payment_sequence)
    late = [result for result in results if newest.get(result.id) != result.number]
    if late:
        transaction.run(_NOTE, rows=json_rows(late), now=now)
    if payments:
        for result in results:
            if result.effect not in {None, Effect.FIRST} and result.id in settled:
                settled[result.id] = Settled(settled[result.id].sequence, payments.get(result.payment_id))
    return settled
