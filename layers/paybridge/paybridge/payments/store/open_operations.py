"""Captures, cancellations and refunds without an outcome. Charges are found by their payments, in `stalled`."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.payments.domain.operation import Kind, OperationStatus
from paybridge.payments.store.operation_row import UNSETTLED

# In the words of the index operations_unsettled, which is small however many operations there are.
_IS_OPEN = f"o.id <> o.payment_id AND o.status IN {UNSETTLED}"

# A message that waits in the outbox or in a long queue is no reason to send a second one. Other messages about the same
# payment say nothing about this operation. A change in the future was written by a clock that was wrong.
_LOCK_STALLED = Statement(f"""
    SELECT o.id, o.payment_id, o.merchant_id, o.correlation_id, o.kind, o.status, o.number
    FROM operations o
    WHERE {_IS_OPEN} AND (o.updated_at < :before::timestamptz OR o.updated_at > now() + interval '1 minute')
      AND NOT EXISTS (
        SELECT FROM outbox m
        WHERE m.payment_id = o.payment_id AND m.exchange IS NOT NULL AND position(o.id::text IN m.body) > 0
          AND (m.published_at IS NULL OR m.published_at >= :before::timestamptz))
    ORDER BY o.updated_at
    LIMIT :limit::integer
    FOR UPDATE OF o SKIP LOCKED
""")

_IS_OLD = """
    (o.created_at < :before::timestamptz AND o.pending_at IS NULL OR o.created_at < :pending_before::timestamptz)
"""

_OLD = Statement(f"""
    SELECT o.id, o.payment_id, o.merchant_id, o.correlation_id, o.kind, o.status, o.number
    FROM operations o
    WHERE {_IS_OPEN} AND {_IS_OLD}
    ORDER BY o.updated_at
    LIMIT :limit::integer
""")


class OpenOperation(NamedTuple):
    """An operation without an outcome, and the number of attempts at it."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    kind: Kind
    status: OperationStatus
    number: int


def lock_stalled_operations(transaction: Transaction, before: datetime, limit: int) -> list[OpenOperation]:
    """Lock up to `limit` operations that nothing changed since `before` and no message is under way for."""
    return [OpenOperation(*row) for row in transaction.run(_LOCK_STALLED, before=before, limit=limit)]


def find_old(database: Database, before: datetime, pending_before: datetime, limit: int) -> list[OpenOperation]:
    """Return up to `limit` operations that were created before that time and have no outcome.

    One that the gateway has, and decides about later, is old only if it was created before `pending_before`.
    """
    rows = database.run(_OLD, before=before, pending_before=pending_before, limit=limit)
    return [OpenOperation(*row) for row in rows]
