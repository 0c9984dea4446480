"""Read what the invariants of the books are about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.payouts import PayoutStatus
from paybridge.ledger.domain.proof import ComparedTransfer, JournalKey

# Rules 10 to 12 are those of payouts. Their index has these words.
_OF_PAYOUTS = "rule BETWEEN 10 AND 12"

_NEXT_ACCOUNTS = Statement("""
    SELECT a.id FROM ledger.accounts a JOIN ledger.books b ON b.id = a.book AND b.state IN ('live', 'retired')
    WHERE a.id > :after::bigint ORDER BY a.id LIMIT :limit::integer
""")

# Each batch that changes an account raises its version.
_BUSIEST_ACCOUNTS = Statement("""
    SELECT id FROM ledger.accounts WHERE book = (SELECT id FROM ledger.books WHERE state = 'live')
    ORDER BY version DESC, id LIMIT :limit::integer
""")

# At most `limit` transfers of one side of an account.
_SUM_OF_SIDE = """
    SELECT coalesce(sum(amount_minor), 0) AS sum, count(*) AS count
    FROM (
        SELECT amount_minor FROM ledger.transfers
        WHERE {side}_account = p.id AND happened_at >= :since::timestamptz LIMIT :limit::integer
    ) AS part
"""
# Of one moment, because one statement reads them. A transfer counts in the day of its event.
_CHECK_TOTALS = Statement(f"""
    SELECT p.id, p.book, p.owner, p.kind, p.currency, p.places, p.debits_minor::text, p.credits_minor::text,
           debits.sum::text, credits.sum::text, days.debits::text, days.credits::text, days.newest_debits::text,
           days.newest_credits::text, greatest(debits.count, credits.count)
    FROM ledger.accounts p JOIN ledger.books b ON b.id = p.book AND b.state IN ('live', 'retired')
    CROSS JOIN LATERAL ({_SUM_OF_SIDE.format(side="debit")}) AS debits
    CROSS JOIN LATERAL ({_SUM_OF_SIDE.format(side="credit")}) AS credits
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(debits_minor), 0) AS debits, coalesce(sum(credits_minor), 0) AS credits,
               coalesce(sum(debits_minor) FILTER (WHERE day >= :first_day::date), 0) AS newest_debits,
               coalesce(sum(credits_minor) FILTER (WHERE day >= :first_day::date), 0) AS newest_credits
        FROM ledger.daily_totals WHERE account = p.id) AS days
    WHERE p.id = ANY (:accounts::bigint[]) ORDER BY p.id
""")

# A part ends with all transfers of its last moment, so that the next one begins after it.
_SUM_PART = """
    SELECT sum(amount_minor)::text, max(happened_at) FROM (
        SELECT amount_minor, happened_at FROM ledger.transfers
        WHERE {side} = :account::bigint AND happened_at > :after::timestamptz
        ORDER BY happened_at FETCH FIRST (:limit::integer) ROWS WITH TIES
    ) AS part
"""
_SUM_DEBITS = Statement(_SUM_PART.format(side="debit_account"))
_SUM_CREDITS = Statement(_SUM_PART.format(side="credit_account"))

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

_BEFORE_NEWEST_PAYOUTS = Statement("""
    SELECT id FROM ledger.payouts ORDER BY id DESC OFFSET :count::integer LIMIT 1
""")

# The journals of a payout name it as their operation. Only what is in the accounts of its merchant and currency counts.
_READ_PAYOUTS = Statement(f"""
    SELECT p.id, p.status, p.amount_minor, p.updated_at, posted.reserved::text, posted.paid::text
    FROM (SELECT * FROM ledger.payouts WHERE id > :after::uuid ORDER BY id LIMIT :limit::integer) AS p
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN (c.owner, c.kind) = (p.merchant_id, 'reserved') THEN t.amount_minor
                                 WHEN (d.owner, d.kind) = (p.merchant_id, 'reserved') THEN -t.amount_minor
                                 ELSE 0 END), 0) AS reserved,
               coalesce(sum(CASE WHEN c.kind = 'payouts_paid' THEN t.amount_minor ELSE 0 END), 0) AS paid
        FROM ledger.journals j
        JOIN ledger.transfers t USING (book, event_id, rule)
        JOIN ledger.accounts d ON d.id = t.debit_account
        JOIN ledger.accounts c ON c.id = t.credit_account
        WHERE j.operation_id = p.id AND j.{_OF_PAYOUTS}
          AND j.book = (SELECT id FROM ledger.books WHERE state = 'live')
          AND (d.currency::text, d.places) = (p.currency, p.places)
    ) AS posted
    ORDER BY p.id
""")
_FIND_UNKNOWN_PAYOUTS = Statement(f"""
    SELECT DISTINCT j.operation_id FROM ledger.journals j
    WHERE j.operation_id > :after::uuid AND j.operation_id <= :until::uuid AND j.{_OF_PAYOUTS}
      AND j.book = (SELECT id FROM ledger.books WHERE state = 'live')
      AND NOT EXISTS (SELECT FROM ledger.payouts p WHERE p.id = j.operation_id)
    ORDER BY j.operation_id LIMIT :limit::integer
""")

_READ_NEWEST = Statement("""
    SELECT id, body FROM outbox
    WHERE sequence > 0 AND type = ANY (:wanted::text[]) AND created_at < :before::timestamptz
      AND id >= uuid7_floor(:not_before::timestamptz)
    ORDER BY id DESC LIMIT :limit::integer
""")

# The events are few, and each is looked up by the primary keys.
_READ_POSTED = Statement("""
    SELECT j.event_id, j.rule, j.id, j.rule_version, j.happened_at,
           t.number, d.owner, d.kind, d.currency, d.places, c.owner, c.kind, c.currency, c.places, t.amount_minor
    FROM unnest(:events::uuid[]) AS wanted (id)
    JOIN ledger.journals j ON j.book = :book::smallint AND j.event_id = wanted.id
    LEFT JOIN ledger.transfers t ON t.book = j.book AND t.event_id = j.event_id AND t.rule = j.rule
    LEFT JOIN ledger.accounts d ON d.id = t.debit_account
    LEFT JOIN ledger.accounts c ON c.id = t.credit_account
    ORDER BY j.event_id, j.rule, t.number
""")

# Debits and credits.
Sums = tuple[int, int]


class AccountTotals(NamedTuple):
    """What an account counts, and what its days add up to.

    `moved` are the sums of its transfers from a day on, None if there are more than were to be read, and
    `by_newest_day` of the days from then on.
    """

    id: int
    book: int
    key: AccountKey
    counted: Sums
    by_day: Sums
    moved: Sums | None
    by_newest_day: Sums


class SummedPart(NamedTuple):
    """The sum of some transfers of one side of an account, and the moment of the last ones."""

    minor: int
    until: datetime


# Sums the next transfers of one side of an account.
SumPart = Callable[[Transaction, int, datetime | None, int], SummedPart | None]


class BookSides(NamedTuple):
    """All debits and all credits of a book in one currency."""

    book: int
    currency: str
    debits_minor: int
    credits_minor: int


class PostedJournal(NamedTuple):
    """What the live book has of a journal."""

    id: UUID
    rule_version: int
    happened_at: datetime
    transfers: tuple[ComparedTransfer, ...]


class Reserved(NamedTuple):
    """What waits for the payouts of a merchant."""

    owner: UUID
    currency: str
    minor: int


class PostedPayout(NamedTuple):
    """A payout, and by its journals in the live book what is reserved for it and what was paid."""

    id: UUID
    status: PayoutStatus
    amount_minor: int
    updated_at: datetime
    reserved_minor: int
    paid_minor: int


def next_accounts(database: Database, after: int, limit: int) -> list[int]:
    """Return the next accounts after number `after`, of the live and the retired books."""
    return [row[0] for row in database.run(_NEXT_ACCOUNTS, after=after, limit=limit)]


def busiest_accounts(database: Database, limit: int) -> list[int]:
    """Return the accounts of the live book that most batches have changed."""
    return [row[0] for row in database.run(_BUSIEST_ACCOUNTS, limit=limit)]


def read_totals(
    reader: Database | Transaction, accounts: Sequence[int], since: datetime | None, transfers_max: int
) -> list[AccountTotals]:
    """Return these accounts, each read at one moment, with their transfers from `since` on, None for all.

    `since` is the begin of a day. Accounts of a book that is being dropped are left out.
    """
    rows = reader.run(
        _CHECK_TOTALS,
        accounts="{" + ",".join(map(str, accounts)) + "}",
        since=since or "-infinity",
        first_day=since.date() if since else "-infinity",
        limit=transfers_max + 1,
    )
    found = []
    for id_, book, owner, kind, currency, places, *sums, transfers in rows:
        numbers = map(int, sums)
        counted, moved, by_day, by_newest_day = zip(numbers, numbers, strict=True)
        key = AccountKey(owner, AccountKind(kind), currency, places)
        summed = moved if transfers <= transfers_max else None
        found.append(AccountTotals(id_, book, key, counted, by_day, summed, by_newest_day))
    return found


def sum_debits(transaction: Transaction, account: int, after: datetime | None, limit: int) -> SummedPart | None:
    """Return the sum of the next `limit` debits after a moment, None for the first ones; None if there are no more."""
    return _sum_part(transaction, _SUM_DEBITS, account, after, limit)


def sum_credits(transaction: Transaction, account: int, after: datetime | None, limit: int) -> SummedPart | None:
    """Return the sum of the next `limit` credits after a moment, None for the first ones; None if there are no more."""
    return _sum_part(transaction, _SUM_CREDITS, account, after, limit)


def _sum_part(
    transaction: Transaction, statement: Statement, account: int, after: datetime | None, limit: int
) -> SummedPart | None:
    ((minor, until),) = transaction.run(statement, account=account, after=after or "-infinity", limit=limit)
    return None if until is None else SummedPart(int(minor), until)


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


def find_before_newest(database: Database, count: int) -> UUID | None:
    """Return the payout before the newest `count`, None if there are no more."""
    for row in database.run(_BEFORE_NEWEST_PAYOUTS, count=count):
        found: UUID = row[0]
        return found
    return None


def read_payouts(database: Database, after: UUID, limit: int) -> list[PostedPayout]:
    """Return the next payouts after id `after`, each with its journals of the same moment."""
    return [
        PostedPayout(id_, PayoutStatus(status), amount_minor, updated_at, int(reserved), int(paid))
        for id_, status, amount_minor, updated_at, reserved, paid in database.run(
            _READ_PAYOUTS, after=after, limit=limit
        )
    ]


def find_unknown_payouts(database: Database, after: UUID, until: UUID, limit: int) -> list[UUID]:
    """Return ids above `after` and up to `until` that journals of payouts name and that no payout has."""
    return [row[0] for row in database.run(_FIND_UNKNOWN_PAYOUTS, after=after, until=until, limit=limit)]


def read_newest(
    transaction: Transaction, types: frozenset[str], not_before: datetime, before: datetime, limit: int
) -> list[tuple[UUID, str]]:
    """Return the ids and bodies of the newest events of these types between two moments, newest first."""
    wanted = "{" + ",".join(types) + "}"
    rows = transaction.run(_READ_NEWEST, wanted=wanted, not_before=not_before, before=before, limit=limit)
    return [(id_, body) for id_, body in rows]


def read_posted(transaction: Transaction, book: int, events: Iterable[UUID]) -> Mapping[JournalKey, PostedJournal]:
    """Return the journals that a book has of these events."""
    rows = transaction.run(_READ_POSTED, book=book, events=uuid_array(events))
    return {key: _posted(list(of_key)) for key, of_key in groupby(rows, lambda row: JournalKey(row[0], row[1]))}


def _posted(rows: Sequence[Row]) -> PostedJournal:
    id_, rule_version, happened_at = rows[0][2:5]
    transfers = tuple(
        ComparedTransfer(row[5], _account(row[6:10]), _account(row[10:14]), row[14])
        for row in rows
        if row[5] is not None
    )
    return PostedJournal(id_, rule_version, happened_at, transfers)


def _account(row: Row) -> AccountKey:
    owner, kind, currency, places = row
    return AccountKey(owner, AccountKind(kind), currency, places)
