"""What has to be done from time to time: finding stuck payments and webhooks, forgetting old answers, making room."""

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

# As with payments: a command that is on its way, or was a short while ago, is waited for, and so is an attempt that may
# still be under way. Commands name what they are about in their body alone; a payment has only a few of them.
_STUCK_DELIVERIES = Statement("""
    SELECT d.id, d.payment_id, d.merchant_id, d.correlation_id, d.attempts
    FROM webhook_deliveries d
    WHERE d.finished_at IS NULL AND coalesce(d.next_attempt_at, d.created_at) < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM webhook_attempts a WHERE a.delivery_id = d.id AND a.started_at >= :before::timestamptz)
      AND NOT EXISTS (
          SELECT FROM outbox o
          WHERE o.payment_id = d.payment_id AND o.type = 'command.deliver_webhook'
            AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz)
            AND strpos(o.body, d.id::text) > 0)
    ORDER BY coalesce(d.next_attempt_at, d.created_at)
    LIMIT :limit::integer
    FOR UPDATE OF d SKIP LOCKED
""")

# Outcome events of a stretch of time, by the time in their ids, that were published and left no delivery behind.
_LOST_EVENTS = Statement("""
    SELECT o.id, o.payment_id, o.merchant_id, o.correlation_id, o.type
    FROM outbox o
    JOIN payments p ON p.id = o.payment_id AND p.webhook_url IS NOT NULL
    WHERE o.id >= uuid7_floor(:oldest::timestamptz) AND o.id < uuid7_floor(:newest::timestamptz)
      AND o.exchange = 'payments.events' AND o.published_at < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM webhook_deliveries d
          WHERE d.payment_id = o.payment_id AND (d.event_id = o.id OR d.status = 'gone'))
      AND NOT EXISTS (
          SELECT FROM outbox c
          WHERE c.payment_id = o.payment_id AND c.type = 'command.deliver_webhook'
            AND (c.published_at IS NULL OR c.published_at >= :before::timestamptz)
            AND strpos(c.body, o.id::text) > 0)
    ORDER BY o.id
    LIMIT :limit::integer
    FOR UPDATE OF o SKIP LOCKED
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


@dataclass(frozen=True, slots=True)
class StuckDelivery:
    """A pending webhook delivery that is overdue and that no command is on its way for."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    attempts: int


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An outcome that a merchant is to hear of, published, and never turned into a delivery."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    type: str


def lock_stuck(transaction: Transaction, now: datetime, after: timedelta, limit: int) -> list[StuckPayment]:
    """Locks up to `limit` payments that nothing has happened to for `after`, oldest first."""
    return [StuckPayment(*row) for row in transaction.run(_STUCK, before=now - after, limit=limit)]


def lock_stuck_deliveries(transaction: Transaction, before: datetime, limit: int) -> list[StuckDelivery]:
    """Locks up to `limit` deliveries that were due before that time and that nothing goes on with, oldest first."""
    return [StuckDelivery(*row) for row in transaction.run(_STUCK_DELIVERIES, before=before, limit=limit)]


def lock_lost_events(
    transaction: Transaction, oldest: datetime, newest: datetime, before: datetime, limit: int
) -> list[LostEvent]:
    """Locks up to `limit` events without a delivery, made between `oldest` and `newest`, published before `before`."""
    rows = transaction.run(_LOST_EVENTS, oldest=oldest, newest=newest, before=before, limit=limit)
    return [LostEvent(*row) for row in rows]


def expire_answers(database: Database, before: datetime, limit: int) -> int:
    """Forgets up to `limit` kept answers given before that time, and returns how many; the keys stay taken."""
    return len(database.run(_EXPIRE_ANSWERS, before=before, limit=limit))


def ensure_partitions(database: Database, months_ahead: int) -> int:
    """Makes the monthly partitions up to so many months ahead, and returns how many were missing."""
    made: int = database.run(_ENSURE_PARTITIONS, months_ahead=months_ahead)[0][0]
    return made
