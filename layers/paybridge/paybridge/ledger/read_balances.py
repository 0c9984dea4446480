"""Read balances and accounts, now or as they were at a moment.

A moment counts by when things happened: `as_of` includes all that had happened by then, whenever it was posted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.cursor import decode_position, encode_position
from paybridge.database.database import Database
from paybridge.ledger.domain.balances import AccountBalance, CurrencyBalance, by_currency
from paybridge.ledger.store import balances


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Accounts, and the cursor of the next page."""

    accounts: list[AccountBalance]
    next_cursor: str | None


def read_balances(database: Database, merchant_id: UUID, as_of: datetime | None = None) -> list[CurrencyBalance]:
    """Return what the merchant has in each currency. Raises DatabaseUnavailable."""
    return by_currency(balances.of_merchant(database, merchant_id, as_of))


def list_accounts(
    database: Database, merchant_id: UUID | None, as_of: datetime | None = None, *, cursor: str | None, limit: int
) -> AccountPage:
    """Return the merchant's accounts, or without a merchant those of all and of the house, in pages.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    scope = f"accounts {merchant_id} {as_of}"
    start = decode_position(cursor, scope) if cursor else 0
    if merchant_id is None:
        found = balances.of_all(database, as_of, after=start, limit=limit + 1)
        page = found[:limit]
        return AccountPage(page, encode_position(page[-1].number, scope) if len(found) > limit else None)
    found = balances.of_merchant(database, merchant_id, as_of)
    end = start + limit
    return AccountPage(found[start:end], encode_position(end, scope) if len(found) > end else None)
