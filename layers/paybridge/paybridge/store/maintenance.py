"""What has to be done from time to time: finding stuck payments, forgetting old answers, making room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from paybridge.store.database import Database, Statement, Transaction

# A payment is stuck when it has not settled and no message about it was written for a while: a message that waits in
# a long queue is no reason to send a second one every minute.
_STUCK = Statement("""
    SELECT p.id, p.merchant_id, p.correlation_id, p.status,
           coalesce((SELECT max(a.number) FROM payment_attempts a
                     WHERE a.payment_id = p.id AND a.operation = 'charge'), 0)
    FROM payments p
    WHERE p.status IN ('pending', 'processing') AND p.updated_at < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM outbox o
          WHERE o.payment_id = p.id AND o.exchange IS NOT NULL
            AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz))
    ORDER BY p.id
    LIMIT :limit::integer
    FOR UPDATE OF p SKIP LOCKED
""")

_EXPIRE_ANSWERS = Statement("""
    UPDATE idempotency_keys SET response_body = NULL
    WHERE (merchant_id, operation, key) IN (
        SELECT merchant_id, operation, key FROM idempotency_keys
        WHERE response_body IS NOT NULL AND created_at < :before::timestamptz
        ORDER BY created_at LIMIT :limit::integer FOR UPDATE SKIP LOCKED)
    RETURNING 1
""")

_ENSURE_PARTITIONS = Statement("SELECT ensure_partitions(:months_ahead::integer)")


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


def expire_answers(database: Database, before: datetime, limit: int) -> int:
    """Forgets up to `limit` kept answers given before that time, and returns how many; the keys stay taken."""
    return len(database.run(_EXPIRE_ANSWERS, before=before, limit=limit))


def ensure_partitions(database: Database, months_ahead: int) -> int:
    """Makes the monthly partitions up to so many months ahead, and returns how many were missing."""
    made: int = database.run(_ENSURE_PARTITIONS, months_ahead=months_ahead)[0][0]
    return made
