"""List refunds in pages."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.database.database import Database
from paybridge.payments.store import queries as payment_queries
from paybridge.refunds.domain import RefundFilters, RefundPage
from paybridge.refunds.store.row import refund_from_row


def list_refunds(
    database: Database, merchant_id: UUID | None, filters: RefundFilters, *, cursor: str | None, limit: int
) -> RefundPage:
    """Return the merchant's refunds that match, newest first, at most `limit` after the cursor.

    Without a merchant they are the refunds of all. A page stays the same while new refunds arrive. Raises InvalidInput
    (`cursor_invalid`) and DatabaseUnavailable.
    """
    # Listing imports SQLAlchemy, which most environments of the API never need.
    from paybridge.refunds.store.listing import list_newest_first

    scope = _scope(merchant_id, filters)
    before = decode_cursor(cursor, scope) if cursor is not None else None
    # One more than asked for shows whether another page follows.
    found = list_newest_first(database, merchant_id, filters, before=before, limit=limit + 1)
    rows = found[:limit]
    has_more = len(found) > limit
    return RefundPage(list(map(refund_from_row, rows)), encode_cursor(rows[-1][0], scope) if has_more else None)


def list_refunds_of_payment(
    database: Database, merchant_id: UUID | None, payment_id: UUID, *, cursor: str | None, limit: int
) -> RefundPage | None:
    """Return the refunds of this payment, None if the merchant has no such payment; see `list_refunds`."""
    if payment_queries.get(database, merchant_id, payment_id) is None:
        return None
    return list_refunds(database, merchant_id, RefundFilters(payment_id=payment_id), cursor=cursor, limit=limit)


def shorten(page: RefundPage, count: int, merchant_id: UUID | None, filters: RefundFilters) -> RefundPage:
    """Return the first `count` refunds of the page, with the cursor that continues after them."""
    if count >= len(page.refunds):
        return page
    refunds = page.refunds[:count]
    return RefundPage(refunds, encode_cursor(refunds[-1].operation.id, _scope(merchant_id, filters)))


def _scope(merchant_id: UUID | None, filters: RefundFilters) -> str:
    return f"{merchant_id} {filters}"
