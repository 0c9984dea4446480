"""Authorizations that were not captured in time, and the operations that release them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.payments.domain.operation import OperationRef

# The condition is that of every capture and cancellation, so exactly one of them gets the payment. What another
# transaction holds is skipped: the next job finds it, unless a capture or a cancellation got it. A release that the
# gateway declined is tried again once in a while: each try is an operation, and tells a person.
_LOCK = Statement("""
    SELECT p.id, p.merchant_id, p.correlation_id FROM payments p
    WHERE p.status = 'requires_capture' AND p.capture_before <= :now::timestamptz AND p.pending_operation IS NULL
      AND NOT EXISTS (
          SELECT FROM operations o
          WHERE o.payment_id = p.id AND o.id <> o.payment_id AND o.cause = 'expiry' AND o.status = 'declined'
            AND o.finished_at > :declined_before::timestamptz)
    ORDER BY p.capture_before
    LIMIT :limit::integer
    FOR UPDATE OF p SKIP LOCKED
""")

# The payments are locked, and still as `_LOCK` has found them.
_RELEASE = Statement("""
    WITH wanted AS MATERIALIZED (
        SELECT * FROM json_to_recordset(:rows::json) AS row (payment_id uuid, operation_id uuid)
        LIMIT :length::integer
    ), held AS (
        UPDATE payments p
        SET pending_operation = 'cancel', pending_operation_id = wanted.operation_id,
            pending_operation_since = :now::timestamptz, version = p.version + 1, updated_at = :now::timestamptz
        FROM wanted WHERE p.id = wanted.payment_id
        RETURNING wanted.operation_id, p.id, p.merchant_id, p.gateway, p.authorized_minor, p.correlation_id
    )
    INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status, correlation_id,
                            created_at, updated_at)
    SELECT operation_id, id, merchant_id, 'void', 'expiry', gateway, authorized_minor, 'accepted', correlation_id,
           :now::timestamptz, :now::timestamptz
    FROM held
    RETURNING id, payment_id, merchant_id, correlation_id
""")


class ExpiredAuthorization(NamedTuple):
    """A payment whose authorization can no longer be captured."""

    payment_id: UUID
    merchant_id: UUID
    correlation_id: str


def lock(transaction: Transaction, now: datetime, declined_before: datetime, limit: int) -> list[ExpiredAuthorization]:
    """Lock up to `limit` payments whose authorizations have expired, the longest expired first.

    Those whose release the gateway has declined since `declined_before` are left out.
    """
    rows = transaction.run(_LOCK, now=now, declined_before=declined_before, limit=limit)
    return [ExpiredAuthorization(*row) for row in rows]


def release(transaction: Transaction, voids: Sequence[tuple[UUID, UUID]], now: datetime) -> list[OperationRef]:
    """Add an operation that releases the authorization of each locked payment, given as (payment, new operation)."""
    rows = json_rows({"payment_id": payment_id, "operation_id": id_} for payment_id, id_ in voids)
    return [OperationRef(*row) for row in transaction.run(_RELEASE, rows=rows, length=len(voids), now=now)]
