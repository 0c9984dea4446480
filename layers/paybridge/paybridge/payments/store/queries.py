"""Read a payment and its timeline for its merchant. Every query names the merchant; lists are in `listing`."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.store.row import COLUMNS, payment_from_row

_GET = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid AND p.merchant_id = :merchant_id::uuid")

# Each table is read once. A row about two things makes two entries, the second only once it has happened. Entries of
# the same instant keep the order of the stages.
_TIMELINE = Statement("""
    WITH payment AS MATERIALIZED (
        SELECT id FROM payments WHERE id = :id::uuid AND merchant_id = :merchant_id::uuid
    ), deliveries AS MATERIALIZED (
        SELECT delivery.* FROM payment JOIN webhook_deliveries delivery ON delivery.payment_id = payment.id
    )
    SELECT type, at, sequence, details FROM (
        SELECT entry.type, entry.at, event.sequence, entry.stage, entry.details
        FROM payment JOIN outbox event ON event.payment_id = payment.id, LATERAL (VALUES
            (event.type, event.created_at, 1, json_build_object('event_id', event.id)),
            ('event.relayed', event.published_at, 2, json_build_object('event_id', event.id, 'event_type', event.type))
        ) AS entry (type, at, stage, details)
        WHERE event.sequence IS NOT NULL
      UNION ALL
        SELECT entry.type, entry.at, NULL, entry.stage, entry.details
        FROM payment JOIN payment_attempts attempt ON attempt.payment_id = payment.id, LATERAL (VALUES
            ('gateway.attempt_started', attempt.started_at, 3,
             json_build_object('operation', attempt.operation, 'number', attempt.number)),
            ('gateway.attempt_' || attempt.status, attempt.finished_at, 4,
             json_build_object('operation', attempt.operation, 'number', attempt.number,
                               'failure_code', attempt.failure_code))
        ) AS entry (type, at, stage, details)
      UNION ALL
        SELECT 'webhook.scheduled', created_at, NULL, 5,
               json_build_object('delivery_id', id, 'event_id', event_id, 'event_type', event_type, 'status', status,
                                 'next_attempt_at', next_attempt_at)
        FROM deliveries
      UNION ALL
        SELECT 'webhook.attempt_' || attempt.status, coalesce(attempt.finished_at, attempt.started_at), NULL, 6,
               json_build_object('delivery_id', delivery.id, 'event_type', delivery.event_type, 'number', number,
                                 'response_status', response_status, 'error', error, 'latency_ms', latency_ms)
        FROM deliveries delivery JOIN webhook_attempts attempt ON attempt.delivery_id = delivery.id
    ) AS entries
    WHERE at IS NOT NULL
    ORDER BY at, stage, sequence
""")


def get(database: Database, merchant_id: UUID, payment_id: UUID) -> Payment | None:
    """Return the payment; None if there is none or it belongs to another merchant."""
    rows = database.run(_GET, id=payment_id, merchant_id=merchant_id)
    return payment_from_row(rows[0]) if rows else None


def timeline(database: Database, merchant_id: UUID, payment_id: UUID) -> list[TimelineEntry]:
    """Return the payment's events, their publication, gateway attempts and webhook deliveries, oldest first."""
    return [TimelineEntry(*row) for row in database.run(_TIMELINE, id=payment_id, merchant_id=merchant_id)]
