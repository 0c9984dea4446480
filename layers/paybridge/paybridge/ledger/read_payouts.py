"""Read payouts and list them in pages."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.database.database import Database
from paybridge.ledger.domain.payouts import Payout, PayoutFilters, PayoutPage
from paybridge.ledger.store import payouts


def read_payout(database: Database, merchant_id: UUID | None, payout_id: UUID) -> Payout | None:
    """Return the merchant's payout, None if there is no such one. Without a merchant it is a payout of any.

    Raises DatabaseUnavailable.
    """
    return payouts.find(database, merchant_id, payout_id)


def list_payouts(
    database: Database, merchant_id: UUID | None, filters: PayoutFilters, *, cursor: str | None, limit: int
) -> PayoutPage:
    """Return the merchant's payouts that match, newest first, at most `limit` after the cursor.

    Without a merchant they are the payouts of all. A page stays the same while new payouts arrive. Raises InvalidInput
    (`cursor_invalid`) and DatabaseUnavailable.
    """
    # Listing imports SQLAlchemy, which most environments of the API never need.
    from paybridge.ledger.store.payout_lists import list_newest_first

    scope = _scope(merchant_id, filters)
    before = decode_cursor(cursor, scope) if cursor is not None else None
    # One more than asked for shows whether another page follows.
    found = list_newest_first(database, merchant_id, filters, before=before, limit=limit + 1)
    page = found[:limit]
    has_more = len(found) > limit
    return PayoutPage(page, encode_cursor(page[-1].id, scope) if has_more else None)


def _scope(merchant_id: UUID | None, filters: PayoutFilters) -> str:
    return f"{merchant_id} {filters}"
