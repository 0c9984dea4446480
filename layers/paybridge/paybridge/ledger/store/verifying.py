"""Read what the invariants of the books are about."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.ledger.domain.accounts import AccountKey, AccountKind

_CHECK_TOTALS = Statement("""
    WITH part AS (
        SELECT a.* FROM ledger.accounts a JOIN ledger.books b ON b.id = a.book AND b.state IN ('live', 'retired')
        WHERE a.id > :after::bigint ORDER BY a.id LIMIT :limit::integer
    )
    SELECT p.id, p.book, p.owner, p.kind, p.currency, p.places, p.debits_minor::text, p.credits_minor::text,
           debits.sum::text, credits.sum::text, days.debits::text, days.credits::text
    FROM part p
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor), 0) AS sum FROM ledger.transfers
                        WHERE debit_account = p.id) AS debits
    CROSS JOIN LATERAL (SELECT coalesce(sum(amount_minor), 0) AS sum FROM ledger.transfers
                        WHERE credit_account = p.id) AS credits
    CROSS JOIN LATERAL (SELECT coalesce(sum(debits_minor), 0) AS debits, coalesce(sum(credits_minor), 0) AS credits
                        FROM ledger.daily_totals WHERE account = p.id) AS days
    ORDER BY p.id
""")

_CHECK_SIDES = Statement("""
    SELECT b.id, sides.currency, sides.places, sides.debits::text, sides.credits::text
    FROM ledger.books b CROSS JOIN LATERAL (
        SELECT currency, places, sum(debits_minor) AS debits, sum(credits_minor) AS credits
        FROM ledger.accounts WHERE book = b.id GROUP BY currency, places
    ) AS sides
    WHERE b.state <> 'dropping'
    ORDER BY b.id, sides.currency, sides.places
""")

# Amounts that wait for a payout cannot be less than nothing. A merchant's own order never takes more than there is, so
# only an event that came later, such as a refund, makes `available` fall below zero.
_CHECK_RESERVED = Statement("""
    SELECT a.book, a.owner, a.currency, (a.credits_minor - a.debits_minor)::text
    FROM ledger.accounts a JOIN ledger.books b ON b.id = a.book AND b.state = 'live'
    WHERE a.kind = 'reserved' ORDER BY a.id
""")

_READ_NEWEST = Statement("""
    SELECT body FROM outbox
    WHERE sequence > 0 AND type = ANY (:wanted::text[]) AND created_at < :before::timestamptz
      AND id >= uuid7_floor(:not_before::timestamptz)
    ORDER BY id DESC LIMIT :limit::integer
""")


class AccountTotals(NamedTuple):
    """What an account counts, what its transfers add up to, and what its days add up to: debits and credits."""

    id: int
    book: int
    key: AccountKey
    counted: tuple[int, int]
    moved: tuple[int, int]
    by_day: tuple[int, int]


class BookSides(NamedTuple):
    """All debits and all credits of a book in one currency."""

    book: int
    currency: str
    debits_minor: int
    credits_minor: int


class Reserved(NamedTuple):
    """What waits for the payouts of a merchant."""

    owner: UUID
    currency: str
    minor: int


def read_totals(database: Database, after: int, limit: int) -> list[AccountTotals]:
    """Return the next accounts after number `after`, each read at one moment."""
    found = []
    for id_, book, owner, kind, currency, places, *sums in database.run(_CHECK_TOTALS, after=after, limit=limit):
        debits, credited, moved_debits, moved_credits, day_debits, day_credits = map(int, sums)
        key = AccountKey(owner, AccountKind(kind), currency, places)
        counted, moved = (debits, credited), (moved_debits, moved_credits)
        found.append(AccountTotals(id_, book, key, counted, moved, (day_debits, day_credits)))
    return found


def read_sides(database: Database) -> list[BookSides]:
    """Return both sides of every book and currency."""
    rows = database.run(_CHECK_SIDES)
    return [
        BookSides(book, f"{currency}/{places}", int(debits), int(credited))
        for book, currency, places, debits, credited in rows
    ]


def read_reserved(database: Database) -> list[Reserved]:
    """Return what waits for payouts in the live book."""
    rows = database.run(_CHECK_RESERVED)
    return [Reserved(owner, currency, int(minor)) for _, owner, currency, minor in rows]


def read_newest(
    transaction: Transaction, types: frozenset[str], not_before: datetime, before: datetime, limit: int
) -> list[str]:
    """Return the newest events of these types between two moments, newest first."""
    wanted = "{" + ",".join(types) + "}"
    rows = transaction.run(_READ_NEWEST, wanted=wanted, not_before=not_before, before=before, limit=limit)
    return [row[0] for row in rows]
