"""List payments in pages."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database
from paybridge.payments.domain.cursor import decode_cursor, encode_cursor
from paybridge.payments.domain.query import PaymentFilters, PaymentPage


def list_payments(
    database: Database, merchant_id: UUID, filters: PaymentFilters, *, cursor: str | None, limit: int
) -> PaymentPage:
    """Return the merchant's payments that match, newest first, at most `limit` after the cursor.

    A page stays the same while new payments arrive. Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # Listing imports SQLAlchemy, which most environments of the API never need.
    from paybridge.payments.store.listing import list_newest_first

    scope = _scope(merchant_id, filters)
    before = decode_cursor(cursor, scope) if cursor is not None else None
    # One more than asked for shows whether another page follows.
    payments = list_newest_first(database, merchant_id, filters, before=before, limit=limit + 1)
    page = payments[:limit]
    has_more = len(payments) > limit
    return PaymentPage(page, encode_cursor(page[-1].id, scope) if has_more else None)


def shorten(page: PaymentPage, count: int, merchant_id: UUID, filters: PaymentFilters) -> PaymentPage:
    """Return the first `count` payments of the page, with the cursor that continues after them."""
    if count >= len(page.payments):
        return page
    payments = page.payments[:count]
    return PaymentPage(payments, encode_cursor(payments[-1].id, _scope(merchant_id, filters)))


def _scope(merchant_id: UUID, filters: PaymentFilters) -> str:
    return f"{merchant_id} {filters}"
