"""List the entries of the live book."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from paybridge.core.cursor import decode_bytes, encode_bytes
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Database
from paybridge.ledger.domain.accounts import AccountKey, parse_account_name
from paybridge.ledger.domain.entries import EntryPosition, LedgerEntry, position_from_bytes
from paybridge.ledger.store import entries

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_SMALLINT_MAX = 2**15 - 1
_NEWEST = EntryPosition(_END_OF_TIME, UUID(int=2**128 - 1), _SMALLINT_MAX, _SMALLINT_MAX)


@dataclass(frozen=True, slots=True)
class EntryFilters:
    """The entries to list. `account` is the name of one; `as_of` leaves out what happened later; None matches any."""

    account: str | None = None
    payment_id: UUID | None = None
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class EntryPage:
    """Entries, newest first, and the cursor of the next page."""

    entries: list[LedgerEntry]
    next_cursor: str | None


def list_entries(
    database: Database, merchant_id: UUID | None, filters: EntryFilters, *, cursor: str | None, limit: int
) -> EntryPage:
    """Return entries of the merchant's accounts that match, newest first, at most `limit` after the cursor.

    Without a merchant any account and payment can be named, and without either the entries are those of the house. An
    account that is another's, or that has no entry, has an empty page. Raises InvalidInput (`cursor_invalid`,
    `account_malformed`) and DatabaseUnavailable.
    """
    scope = f"entries {merchant_id} {filters}"
    before = _position(cursor, scope) if cursor else _NEWEST
    # One more than asked for shows whether another page follows.
    found = _find(database, merchant_id, filters, before, limit + 1)
    page = found[:limit]
    return EntryPage(page, encode_bytes(page[-1].position.to_bytes(), scope) if len(found) > limit else None)


def _find(
    database: Database, merchant_id: UUID | None, filters: EntryFilters, before: EntryPosition, limit: int
) -> list[LedgerEntry]:
    account = None if filters.account is None else _account(filters.account)
    as_of = filters.as_of or _END_OF_TIME
    if account is not None and merchant_id is not None and account.owner != merchant_id:
        return []
    number = None if account is None else entries.account_numbers(database, account.owner).get(account)
    if account is not None and number is None:
        return []
    if filters.payment_id is not None:
        return entries.of_payment(
            database, filters.payment_id, merchant_id, number, as_of=as_of, before=before, limit=limit
        )
    numbers = [number] if number is not None else [*entries.account_numbers(database, merchant_id).values()]
    return entries.of_accounts(database, numbers, as_of, before, limit)


def _account(name: str) -> AccountKey:
    account = parse_account_name(name)
    if account is None:
        raise InvalidInput(
            "account_malformed", "Send the name of an account as GET /ledger/accounts shows it.", "account"
        )
    return account


def _position(cursor: str, scope: str) -> EntryPosition:
    try:
        return position_from_bytes(decode_bytes(cursor, scope))
    except ValueError:
        raise InvalidInput("cursor_invalid", "Send a next_cursor of this list unchanged, or none.", "cursor") from None
