"""What merchants ask about their payments. Every query names the merchant."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.query import PaymentFilters, TimelineEntry
from paybridge.payments.store.row import COLUMNS, payment_of

# As in the index `payments_unsettled`.
UNSETTLED = frozenset({Status.PENDING, Status.PROCESSING})

_GET = Statement(f"SELECT {COLUMNS} FROM payments p WHERE p.id = :id::uuid AND p.merchant_id = :merchant_id::uuid")

# Ids are UUIDv7, so newest first is the order of the id, and a time range is a range of ids, which spares whole months.
# Id and created_at are made moments apart, hence the minute of slack around the exact comparison. A bound that is not
# wanted is one that every id keeps, so that one plan reads the index between its bounds for all kinds of pages.
_END = """least(coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
                 uuid7_floor(coalesce(:created_to::timestamptz + interval '1 minute', '9999-12-31')))"""
_FLOOR = "uuid7_floor(coalesce(:created_from::timestamptz - interval '1 minute', '1970-01-01'))"


def _page(index_condition: str, order: str) -> Statement:
    return Statement(f"""
        SELECT {COLUMNS} FROM payments p
        WHERE {index_condition} AND p.id < {_END} AND p.id >= {_FLOOR}
          AND created_at >= coalesce(:created_from::timestamptz, '-infinity')
          AND created_at < coalesce(:created_to::timestamptz, 'infinity')
          AND (:status::text IS NULL OR status = :status::text)
          AND (:currency::text IS NULL OR currency = :currency::text)
          AND (:customer::text IS NULL OR customer = :customer::text)
        ORDER BY {order}
        LIMIT :limit::integer
    """)


# The merchant's payments and nobody else's: between two pairs with this merchant lie only such. By `merchant_id = …` a
# planner may think it cheaper to read all merchants' payments in their order until it has found enough of this one's.
# Seldom statuses and currencies are found by reading on until the page is full.
_LIST = _page(
    f"""(p.merchant_id, p.id) < (:merchant_id::uuid, {_END})
          AND (p.merchant_id, p.id) >= (:merchant_id::uuid, {_FLOOR})""",
    "p.merchant_id DESC, p.id DESC",
)
_LIST_OF_CUSTOMER = _page("p.merchant_id = :merchant_id::uuid AND p.customer = :customer::text", "p.id DESC")
_LIST_UNSETTLED = _page("p.merchant_id = :merchant_id::uuid AND p.is_unsettled", "p.id DESC")

# Each table is read once; a row that tells of two things makes two entries, the second when it has taken place. Entries
# of the same instant keep the order in which the stages follow each other.
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
    """The merchant's payment, or None if there is none or it is somebody else's."""
    rows = database.run(_GET, id=payment_id, merchant_id=merchant_id)
    return payment_of(rows[0]) if rows else None


def list_newest_first(
    database: Database, merchant_id: UUID, filters: PaymentFilters, *, before: UUID | None, limit: int
) -> list[Payment]:
    """At most `limit` of the merchant's payments, those with ids below `before`."""
    rows = database.run(
        _listing(filters),
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


def _listing(filters: PaymentFilters) -> Statement:
    """The statement whose index leads to the payments that are asked for."""
    if filters.customer is not None:
        return _LIST_OF_CUSTOMER
    return _LIST_UNSETTLED if filters.status in UNSETTLED else _LIST


def timeline(database: Database, merchant_id: UUID, payment_id: UUID) -> list[TimelineEntry]:
    """Events, their publication, gateway attempts and webhook deliveries of the merchant's payment, oldest first."""
    return [TimelineEntry(*row) for row in database.run(_TIMELINE, id=payment_id, merchant_id=merchant_id)]
