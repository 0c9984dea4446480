"""Stalled deliveries, and events that never became one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Statement, Transaction

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


def lock_stuck_deliveries(transaction: Transaction, before: datetime, limit: int) -> list[StuckDelivery]:
    """Locks up to `limit` deliveries that were due before that time and that nothing goes on with, oldest first."""
    return [StuckDelivery(*row) for row in transaction.run(_STUCK_DELIVERIES, before=before, limit=limit)]


def lock_lost_events(
    transaction: Transaction, oldest: datetime, newest: datetime, before: datetime, limit: int
) -> list[LostEvent]:
    """Locks up to `limit` events without a delivery, made between `oldest` and `newest`, published before `before`."""
    rows = transaction.run(_LOST_EVENTS, oldest=oldest, newest=newest, before=before, limit=limit)
    return [LostEvent(*row) for row in rows]
