"""What merchants ask about their payments. Every query names the merchant."""

from __future__ import annotations

from uuid import UUID

from paybridge.domain.payment import Payment
from paybridge.domain.payment_query import PaymentFilters, TimelineEntry
from paybridge.store.database import Database, Statement
from paybridge.store.payment_rows import COLUMNS, payment_of

_GET = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid AND p.merchant_id = :merchant_id::uuid")

# Ids are UUIDv7, so newest first is the order of the id, and a time range is a range of ids, which spares whole months.
# Id and created_at are made moments apart, hence the minute of slack around the exact comparison.
_LIST = Statement(f"""
    SELECT {COLUMNS} FROM payments p
    WHERE merchant_id = :merchant_id::uuid
      AND (:before::uuid IS NULL OR id < :before::uuid)
      AND (:status::text IS NULL OR status = :status::text)
      AND (:currency::text IS NULL OR currency = :currency::text)
      AND (:customer::text IS NULL OR customer = :customer::text)
      AND (:created_from::timestamptz IS NULL OR created_at >= :created_from::timestamptz
           AND id >= uuid7_floor(:created_from::timestamptz - interval '1 minute'))
      AND (:created_to::timestamptz IS NULL OR created_at < :created_to::timestamptz
           AND id < uuid7_floor(:created_to::timestamptz + interval '1 minute'))
    ORDER BY id DESC
    LIMIT :limit::integer
""")

# Entries of the same instant keep the order in which the stages follow each other.
_TIMELINE = Statement("""
    SELECT type, at, sequence, details FROM (
        SELECT type, created_at AS at, sequence, 1 AS stage, json_build_object('event_id', id) AS details
        FROM outbox WHERE payment_id = :id::uuid AND merchant_id = :merchant_id::uuid AND sequence IS NOT NULL
      UNION ALL
        SELECT 'event.relayed', published_at, sequence, 2, json_build_object('event_id', id, 'event_type', type)
        FROM outbox
        WHERE payment_id = :id::uuid AND merchant_id = :merchant_id::uuid AND sequence IS NOT NULL
          AND published_at IS NOT NULL
      UNION ALL
        SELECT 'gateway.attempt_started', attempt.started_at, NULL, 3,
               json_build_object('operation', operation, 'number', number)
        FROM payment_attempts attempt JOIN payments payment ON payment.id = attempt.payment_id
        WHERE payment.id = :id::uuid AND payment.merchant_id = :merchant_id::uuid
      UNION ALL
        SELECT 'gateway.attempt_' || attempt.status, attempt.finished_at, NULL, 4,
               json_build_object('operation', operation, 'number', number, 'failure_code', attempt.failure_code)
        FROM payment_attempts attempt JOIN payments payment ON payment.id = attempt.payment_id
        WHERE payment.id = :id::uuid AND payment.merchant_id = :merchant_id::uuid AND attempt.finished_at IS NOT NULL
      UNION ALL
        SELECT 'webhook.scheduled', created_at, NULL, 5,
               json_build_object('delivery_id', id, 'event_id', event_id, 'event_type', event_type, 'status', status,
                                 'next_attempt_at', next_attempt_at)
        FROM webhook_deliveries WHERE payment_id = :id::uuid AND merchant_id = :merchant_id::uuid
      UNION ALL
        SELECT 'webhook.attempt_' || attempt.status, coalesce(attempt.finished_at, attempt.started_at), NULL, 6,
               json_build_object('delivery_id', delivery.id, 'event_type', delivery.event_type, 'number', number,
                                 'response_status', response_status, 'error', error, 'latency_ms', latency_ms)
        FROM webhook_deliveries delivery JOIN webhook_attempts attempt ON attempt.delivery_id = delivery.id
        WHERE delivery.payment_id = :id::uuid AND delivery.merchant_id = :merchant_id::uuid
    ) AS entries
    ORDER BY at, stage, sequence
""")


def get(database: Database, merchant_id: UUID, payment_id: UUID) -> Payment | None:
    """The merchant's payment, or None if there is none or it is somebody else's."""
    rows = database.run(_GET, id=payment_id, merchant_id=merchant_id)
    return payment_of(rows[0]) if rows else None


def list_newest_first(
    database: Database, merchant_id: UUID, filters: PaymentFilters, *, before: UUID | None, limit: int
) -> list[Payment]:
    """At most `limit` of the merchant's payments, those with ids below `before`."""
    rows = database.run(
        _LIST,
        merchant_id=merchant_id,
        before=before,
        status=str(filters.status) if filters.status is not None else None,
        currency=filters.currency,
        customer=filters.customer,
        created_from=filters.created_from,
        created_to=filters.created_to,
        limit=limit,
    )
    return [payment_of(row) for row in rows]


def timeline(database: Database, merchant_id: UUID, payment_id: UUID) -> list[TimelineEntry]:
    """Events, their publication, gateway attempts and webhook deliveries of the merchant's payment, oldest first."""
    return [TimelineEntry(*row) for row in database.run(_TIMELINE, id=payment_id, merchant_id=merchant_id)]
