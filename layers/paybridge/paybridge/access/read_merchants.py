"""Read merchants: one, or all in pages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.access.domain.merchants import Merchant
from paybridge.access.store import merchants
from paybridge.core.cursors import position_of
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class MerchantPage:
    """Merchants, newest first, and the cursor of the next page."""

    merchants: list[Merchant]
    next_cursor: str | None


def read_merchant(database: Database, merchant_id: UUID) -> Merchant | None:
    """Return the merchant, None if there is none. Raises DatabaseUnavailable."""
    return merchants.get(database, merchant_id)


def list_merchants(database: Database, *, cursor: str | None, limit: int) -> MerchantPage:
    """Return merchants, newest first, at most `limit` after the cursor.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # One more than asked for shows whether another page follows.
    found = merchants.list_newest_first(database, before=position_of(cursor), limit=limit + 1)
    page = found[:limit]
    return MerchantPage(page, str(page[-1].id) if len(found) > limit else None)
