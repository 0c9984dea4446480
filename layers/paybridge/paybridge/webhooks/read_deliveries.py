"""Read the delivery log, for its merchant or for staff."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.database.database import Database
from paybridge.webhooks.domain.delivery_log import DeliveryFilters, DeliveryPage, DeliveryRecord
from paybridge.webhooks.store import delivery_log


def read_delivery(database: Database, merchant_id: UUID | None, delivery_id: UUID) -> DeliveryRecord | None:
    """Return the merchant's delivery with every attempt, None if there is none.

    Without a merchant it is the delivery of any. Raises DatabaseUnavailable.
    """
    return delivery_log.get(database, merchant_id, delivery_id)


def list_deliveries(
    database: Database, endpoint_id: UUID, filters: DeliveryFilters, *, cursor: str | None, limit: int
) -> DeliveryPage:
    """Return the deliveries to the endpoint that match, at most `limit` after the cursor.

    Those of the newest events come first. A page stays the same while new deliveries are added. Raises InvalidInput
    (`cursor_invalid`) and DatabaseUnavailable.
    """
    # Listing imports SQLAlchemy, which most environments of the API never need.
    from paybridge.webhooks.store.delivery_lists import list_newest_first

    scope = _scope(endpoint_id, filters)
    before = decode_cursor(cursor, scope) if cursor is not None else None
    # One more than asked for shows whether another page follows.
    found = list_newest_first(database, endpoint_id, filters, before=before, limit=limit + 1)
    page = found[:limit]
    return DeliveryPage(page, encode_cursor(page[-1].delivery.id, scope) if len(found) > limit else None)


def _scope(endpoint_id: UUID, filters: DeliveryFilters) -> str:
    return f"{endpoint_id} {filters}"
