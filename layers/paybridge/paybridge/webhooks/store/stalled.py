"""Stalled deliveries, and events that never became one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.events import DELIVER_WEBHOOK
from paybridge.database.database import Statement, Transaction


def _no_command_in_flight(payment_id: str, subject_id: str) -> str:
    """Return the condition that no command about the subject is in flight, or was within the time to wait for it.

    Commands name their subject in their body alone. A payment has only a few of them.
    """
    return _no_command(f"command.payment_id = {payment_id}", subject_id)


def _no_command_of_endpoint_in_flight(endpoint_id: str, subject_id: str) -> str:
    """Return the same condition for what is about an endpoint and no payment, which is rare."""
    return _no_command(f"command.payment_id IS NULL AND command.subject_id = {endpoint_id}", subject_id)


def _no_command(is_about: str, subject_id: str) -> str:
    return f"""NOT EXISTS (
          SELECT FROM outbox command
          WHERE {is_about} AND command.type = '{DELIVER_WEBHOOK}'
            AND (command.published_at IS NULL OR command.published_at >= :before::timestamptz)
            AND strpos(command.body, {subject_id}::text) > 0)"""


# An attempt that may still be running is waited for, like a command in flight.
_STALLED_DELIVERIES = Statement(f"""
    SELECT d.id, d.payment_id, d.merchant_id, d.correlation_id, d.attempts, d.endpoint_id
    FROM webhook_deliveries d
    WHERE d.finished_at IS NULL AND coalesce(d.next_attempt_at, d.created_at) < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM webhook_attempts a WHERE a.delivery_id = d.id AND a.started_at >= :before::timestamptz)
      AND {_no_command_in_flight("d.payment_id", "d.id")}
      AND (d.payment_id IS NOT NULL OR {_no_command_of_endpoint_in_flight("d.endpoint_id", "d.id")})
    ORDER BY coalesce(d.next_attempt_at, d.created_at)
    LIMIT :limit::integer
    FOR UPDATE OF d SKIP LOCKED
""")

# Outcome events of a time window, by the time in their ids, that were published and have no delivery. A batch creates
# all deliveries of an event at once, so an event with one delivery has them all. An endpoint that has changed since the
# event may have been disabled or have chosen other events then, and gets it by a recovery alone.
_LOST_EVENTS = Statement(f"""
    SELECT o.id, o.payment_id, o.merchant_id, o.correlation_id, o.type
    FROM outbox o
    JOIN payments p ON p.id = o.payment_id
    WHERE o.id >= uuid7_floor(:oldest::timestamptz) AND o.id < uuid7_floor(:newest::timestamptz)
      AND o.exchange = 'payments.events' AND o.published_at < :before::timestamptz
      AND NOT EXISTS (
          SELECT FROM webhook_deliveries d
          WHERE d.payment_id = o.payment_id AND d.event_id = o.id)
      AND (
          (p.webhook_url IS NOT NULL AND NOT EXISTS (
              SELECT FROM webhook_deliveries d
              WHERE d.payment_id = o.payment_id AND d.status = 'gone' AND d.endpoint_id IS NULL))
          OR EXISTS (
              SELECT FROM webhook_endpoints e
              WHERE e.merchant_id = o.merchant_id AND e.deleted_at IS NULL AND e.status = 'enabled'
                AND e.updated_at <= o.created_at
                AND e.events && ARRAY['*', split_part(o.type, '.', 1) || '.*', o.type]))
      AND {_no_command_in_flight("o.payment_id", "o.id")}
    ORDER BY o.id
    LIMIT :limit::integer
    FOR UPDATE OF o SKIP LOCKED
""")


@dataclass(frozen=True, slots=True)
class StalledDelivery:
    """A pending delivery that is overdue, with no command in flight."""

    id: UUID
    payment_id: UUID | None
    merchant_id: UUID
    correlation_id: str
    attempts: int
    endpoint_id: UUID | None


@dataclass(frozen=True, slots=True)
class LostEvent:
    """A published outcome event that never became a delivery."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str
    type: str


def lock_stalled_deliveries(transaction: Transaction, before: datetime, limit: int) -> list[StalledDelivery]:
    """Lock up to `limit` stalled deliveries that were due before `before`; return them oldest first."""
    return [StalledDelivery(*row) for row in transaction.run(_STALLED_DELIVERIES, before=before, limit=limit)]


def lock_lost_events(
    transaction: Transaction, oldest: datetime, newest: datetime, before: datetime, limit: int
) -> list[LostEvent]:
    """Lock up to `limit` lost events created between `oldest` and `newest` and published before `before`."""
    rows = transaction.run(_LOST_EVENTS, oldest=oldest, newest=newest, before=before, limit=limit)
    return [LostEvent(*row) for row in rows]
