"""What gateways do to refunds after they have ended: taken back, or made although they had been given up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows, uuid_array
from paybridge.payments.domain.operation import Kind

# Payments are locked first and in the order of their ids, as everywhere.
_LOCK_PAYMENTS = Statement("""
    SELECT p.id FROM unnest(:ids::uuid[]) AS wanted (id) JOIN payments p ON p.id = wanted.id
    ORDER BY p.id FOR UPDATE OF p
""")

# The kind is a parameter, or the plan would look for it among all refunds. A refund is taken back once. One that undoes
# a step of a failed payment has no part in the payment's amounts. Several refunds of one payment may be taken back
# together, so their amounts are added up.
_TAKE_BACK = Statement("""
    WITH wanted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (id uuid, reversal_id uuid) LIMIT :length::integer
    ), reversed AS (
        UPDATE operations o
        SET status = 'reversed', failure_code = :failure_code::text, failure_message = :failure_message::text,
            last_sequence = o.last_sequence + CASE WHEN o.cause IN ('merchant', 'gateway') THEN 1 ELSE 0 END,
            updated_at = :now::timestamptz
        FROM wanted WHERE o.id = wanted.id AND o.kind = :kind::text AND o.status = 'succeeded'
        RETURNING wanted.reversal_id, o.id, o.payment_id, o.merchant_id, o.gateway, o.cause, o.amount_minor,
                  o.gateway_id, o.correlation_id, o.last_sequence
    ), recorded AS (
        INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status, gateway_id,
                                target_gateway_id, correlation_id, created_at, updated_at, finished_at)
        SELECT reversal_id, payment_id, merchant_id, 'refund_reversal', 'gateway', gateway, amount_minor, 'succeeded',
               gateway_id, gateway_id, correlation_id, :now::timestamptz, :now::timestamptz, :now::timestamptz
        FROM reversed
    ), changes AS (
        SELECT payment_id, sum(amount_minor)::bigint AS amount_minor FROM reversed
        WHERE cause IN ('merchant', 'gateway') GROUP BY payment_id
    ), moved AS (
        UPDATE payments p
        SET refunded_minor = p.refunded_minor - changes.amount_minor,
            status = CASE WHEN p.refunded_minor = changes.amount_minor THEN 'succeeded' ELSE 'partially_refunded' END,
            version = p.version + 1, last_sequence = p.last_sequence + 1, updated_at = :now::timestamptz
        FROM changes WHERE p.id = changes.payment_id
    )
    SELECT id, last_sequence FROM reversed
""")

# The room is that of every refund. A refund at the gateway is recorded once, by its id there.
_ADD_REFUND = Statement("""
    WITH moved AS (
        UPDATE payments p
        SET refunded_minor = p.refunded_minor + :amount_minor::bigint,
            status = CASE WHEN p.refunded_minor + :amount_minor::bigint = p.captured_minor THEN 'refunded'
                          ELSE 'partially_refunded' END,
            version = p.version + 1, last_sequence = p.last_sequence + 1, updated_at = :now::timestamptz
        WHERE p.id = :payment_id::uuid
          AND p.refunded_minor + p.refunding_minor + :amount_minor::bigint <= p.captured_minor
        RETURNING p.id
    )
    INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status, gateway_id,
                            target_gateway_id, reason, metadata, correlation_id, last_sequence, created_at, updated_at,
                            finished_at)
    SELECT :id::uuid, o.payment_id, o.merchant_id, 'refund', 'gateway', o.gateway, :amount_minor::bigint, 'succeeded',
           :gateway_id::text, o.target_gateway_id, o.reason, o.metadata, o.correlation_id, 2, :now::timestamptz,
           :now::timestamptz, :now::timestamptz
    FROM moved JOIN operations o ON o.id = :given_up_id::uuid
    RETURNING id
""")

_IS_RECORDED = Statement("""
    SELECT 1 FROM operations o
    WHERE o.payment_id = :payment_id::uuid AND o.id <> o.payment_id AND o.cause = 'gateway'
      AND o.kind <> 'refund_reversal' AND o.gateway_id = :gateway_id::text
    LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Reversal:
    """A refund that was taken back, and the id of the operation that records it."""

    id: UUID
    reversal_id: UUID


class LateRefund(NamedTuple):
    """A refund at the gateway that had been given up as `given_up_id`, and the id under which it is recorded."""

    id: UUID
    payment_id: UUID
    given_up_id: UUID
    gateway_id: str
    amount_minor: int


def lock_payments(transaction: Transaction, ids: Iterable[UUID]) -> None:
    """Lock the payments until the transaction ends."""
    transaction.run(_LOCK_PAYMENTS, ids=uuid_array(sorted(set(ids))))


def take_back(
    transaction: Transaction, reversals: Sequence[Reversal], failure_code: str, failure_message: str, now: datetime
) -> dict[UUID, int]:
    """Record that the gateway took the refunds back, and lower what their payments have refunded.

    Return the refunds that this call changed, each with the sequence of its event.
    """
    rows = transaction.run(
        _TAKE_BACK,
        rows=json_rows(reversals),
        length=len(reversals),
        kind=str(Kind.REFUND),
        failure_code=failure_code,
        failure_message=failure_message,
        now=now,
    )
    return {id_: sequence for id_, sequence in rows}  # noqa: C416 -- rows are lists to the type checker.


def is_recorded(transaction: Transaction, payment_id: UUID, gateway_id: str) -> bool:
    """Tell whether the refund of this id at the gateway was recorded after it had been given up."""
    return bool(transaction.run(_IS_RECORDED, payment_id=payment_id, gateway_id=gateway_id))


def add_refund(transaction: Transaction, refund: LateRefund, now: datetime) -> bool:
    """Record the refund and raise what its payment has refunded; return False if the payment has no room for it."""
    return bool(transaction.run(_ADD_REFUND, **refund._asdict(), now=now))
