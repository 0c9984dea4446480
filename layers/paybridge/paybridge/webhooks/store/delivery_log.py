"""Read the delivery log: one delivery with its attempts. The lists are in `delivery_lists`."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row
from paybridge.webhooks.domain.delivery_log import DeliveryRecord, LoggedAttempt, LoggedDelivery
from paybridge.webhooks.domain.states import DeliveryStatus

# The fields of LoggedDelivery and of LoggedAttempt, in their order.
DELIVERY_COLUMNS = {
    "id": "uuid",
    "merchant_id": "uuid",
    "payment_id": "uuid",
    "endpoint_id": "uuid",
    "event_id": "uuid",
    "event_type": "text",
    "url": "text",
    "correlation_id": "text",
    "status": "text",
    "attempts": "smallint",
    "next_attempt_at": "timestamptz",
    "created_at": "timestamptz",
    "finished_at": "timestamptz",
}
ATTEMPT_COLUMNS = {
    "number": "smallint",
    "status": "text",
    "response_status": "smallint",
    "error": "text",
    "response_excerpt": "text",
    "latency_ms": "integer",
    "started_at": "timestamptz",
    "finished_at": "timestamptz",
}

_DELIVERY = ", ".join(f"d.{name}" for name in DELIVERY_COLUMNS)
_READ = f"SELECT {_DELIVERY}, d.body FROM webhook_deliveries d WHERE d.id = :id::uuid"
_GET = Statement(f"{_READ} AND d.merchant_id = :merchant_id::uuid")
_GET_OF_ANY = Statement(_READ)
_ATTEMPTS = Statement(f"""
    SELECT {", ".join(ATTEMPT_COLUMNS)} FROM webhook_attempts WHERE delivery_id = :id::uuid
    ORDER BY delivery_id, number
""")


def get(database: Database, merchant_id: UUID | None, delivery_id: UUID) -> DeliveryRecord | None:
    """Return the delivery, None if there is none or it belongs to another merchant than the one given."""
    if merchant_id is None:
        rows = database.run(_GET_OF_ANY, id=delivery_id)
    else:
        rows = database.run(_GET, id=delivery_id, merchant_id=merchant_id)
    if not rows:
        return None
    *row, body = rows[0]
    attempts = [LoggedAttempt(*attempt) for attempt in database.run(_ATTEMPTS, id=delivery_id)]
    return DeliveryRecord(delivery_from_row(row), body, attempts)


def delivery_from_row(row: Row) -> LoggedDelivery:
    """Return the delivery in a row with DELIVERY_COLUMNS."""
    (
        id_, merchant_id, payment_id, endpoint_id, event_id, event_type, url, correlation_id, status, attempts,
        next_attempt_at, created_at, finished_at,
    ) = row  # fmt: skip
    return LoggedDelivery(
        id=id_,
        merchant_id=merchant_id,
        payment_id=payment_id,
        endpoint_id=endpoint_id,
        event_id=event_id,
        event_type=event_type,
        url=url,
        correlation_id=correlation_id,
        status=DeliveryStatus(status),
        attempt_count=attempts,
        next_attempt_at=next_attempt_at,
        created_at=created_at,
        finished_at=finished_at,
    )
