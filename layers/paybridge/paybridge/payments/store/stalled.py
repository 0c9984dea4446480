"""Stalled payments: open, with no message in flight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction

# A payment is stuck when it has not settled and no message about it was written for a while: a message that waits in
# a long queue is no reason to send a second one every minute.
_STUCK = Statement("""
    SELECT p.id, p.merchant_id, p.correlation_id, p.status,
           coalesce((SELECT max(a.number) FROM payment_attempts a
                     WHERE a.payment_id = p.id AND a.operation = 'charge'), 0)
    FROM payments p
    WHERE p.is_unsettled AND p.updated_at < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM outbox o
          WHERE o.payment_id = p.id AND o.exchange IS NOT NULL
            AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz))
    ORDER BY p.id
    LIMIT :limit::integer
    FOR UPDATE OF p SKIP LOCKED
""")


@dataclass(frozen=True, slots=True)
class StuckPayment:
    """An unsettled payment that no message is on its way for, and how many attempts it has had."""

    id: UUID
    merchant_id: UUID
    correlation_id: str
    status: str
    attempts: int


def lock_stuck(transaction: Transaction, now: datetime, after: timedelta, limit: int) -> list[StuckPayment]:
    """Locks up to `limit` payments that nothing has happened to for `after`, oldest first."""
    return [StuckPayment(*row) for row in transaction.run(_STUCK, before=now - after, limit=limit)]


# Only so many of the oldest payments that should have settled are looked at, by the time in their ids. Stuck are those
# that nothing is on its way for, as for the sweep above, and those that are old whatever is on its way.
_STUCK_PAYMENTS = Statement("""
    SELECT count(*) FROM (
        SELECT p.id, p.updated_at FROM payments p
        WHERE p.is_unsettled AND p.id < uuid7_floor(:before::timestamptz)
        ORDER BY p.id
        LIMIT :limit::integer) AS oldest
    WHERE id < uuid7_floor(:old_before::timestamptz)
       OR updated_at < :before::timestamptz AND NOT EXISTS (
          SELECT FROM outbox o
          WHERE o.payment_id = oldest.id AND o.exchange IS NOT NULL
            AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz))
""")


def count_stuck_payments(database: Database, before: datetime, old_before: datetime, limit: int) -> int:
    """How many of the `limit` oldest unsettled payments nothing is on its way for since `before`, or are from
    before `old_before`.
    """
    return int(database.run(_STUCK_PAYMENTS, before=before, old_before=old_before, limit=limit)[0][0])
