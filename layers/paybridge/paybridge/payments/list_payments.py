"""List payments in pages."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.core.isolation import run_each_item
from paybridge.database.database import Database
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.query import PaymentFilters, PaymentPage
from paybridge.payments.store.row import payment_from_row

log = logger()


def list_payments(
    database: Database, merchant_id: UUID | None, filters: PaymentFilters, *, cursor: str | None, limit: int
) -> PaymentPage:
    """Return the merchant's payments that match, newest first, at most `limit` after the cursor.

    Without a merchant they are the payments of all. A page stays the same while new payments arrive. A payment that
    cannot be read is logged and left out, and the page is shorter. Raises InvalidInput (`cursor_invalid`) and
    DatabaseUnavailable.
    """
    # Listing imports SQLAlchemy, which most environments of the API never need.
    from paybridge.payments.store.listing import list_newest_first

    scope = _scope(merchant_id, filters)
    before = decode_cursor(cursor, scope) if cursor is not None else None
    # One more than asked for shows whether another page follows.
    found = list_newest_first(database, merchant_id, filters, before=before, limit=limit + 1)
    rows = found[:limit]
    has_more = len(found) > limit
    payments = run_each_item(payment_from_row, rows, lambda row, error: _log_unreadable(row[0], error))
    return PaymentPage(payments, encode_cursor(rows[-1][0], scope) if has_more else None)


def render(page: PaymentPage, show: Callable[[Payment], bytes]) -> tuple[PaymentPage, list[bytes]]:
    """Return what `show` makes of each payment of the page, and the page without those that cannot be shown."""
    shown = run_each_item(
        lambda payment: (payment, show(payment)),
        page.payments,
        lambda payment, error: _log_unreadable(payment.id, error),
    )
    return PaymentPage([payment for payment, _ in shown], page.next_cursor), [view for _, view in shown]


def shorten(page: PaymentPage, count: int, merchant_id: UUID | None, filters: PaymentFilters) -> PaymentPage:
    """Return the first `count` payments of the page, with the cursor that continues after them."""
    if count >= len(page.payments):
        return page
    payments = page.payments[:count]
    return PaymentPage(payments, encode_cursor(payments[-1].id, _scope(merchant_id, filters)))


def _scope(merchant_id: UUID | None, filters: PaymentFilters) -> str:
    return f"{merchant_id} {filters}"


def _log_unreadable(payment_id: object, error: Exception) -> None:
    """Log that a payment cannot be read. The text of the error may repeat what the payment holds."""
    log.error(
        "a payment cannot be read",
        extra={"payment_id": str(payment_id), "error_type": type(error).__name__, "stack": stack_frames(error)},
    )
