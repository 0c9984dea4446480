"""Read parts of two books side by side, in the order of their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.wire import Row
from paybridge.ledger.domain.accounts import AccountKey, AccountKind
from paybridge.ledger.domain.proof import ComparedJournal, ComparedTransfer, JournalKey
from paybridge.ledger.domain.rules import rule_name

_NO_ID = "'00000000-0000-0000-0000-000000000000'::uuid"

_FIND_END = Statement("""
    SELECT least(
        (SELECT event_id FROM ledger.journals WHERE book = :live::smallint AND event_id > :after::uuid
         ORDER BY event_id OFFSET :count::integer LIMIT 1),
        (SELECT event_id FROM ledger.journals WHERE book = :rebuilt::smallint AND event_id > :after::uuid
         ORDER BY event_id OFFSET :count::integer LIMIT 1))
""")

_IN_PART = "book = {book} AND event_id > :after::uuid AND event_id <= :until::uuid"

# domain/proof.py describes an entry. Every transfer is an entry of two accounts.
_ENTRIES_OF = """
    SELECT {book} AS book, side.account,
           string_agg(uuid_send(j.event_id) || uuid_send(j.id) || uuid_send(coalesce(j.payment_id, {no_id}))
                      || uuid_send(coalesce(j.operation_id, {no_id})) || timestamptz_send(j.happened_at)
                      || int2send(t.number) || side.letter || int8send(t.amount_minor),
                      ''::bytea ORDER BY t.event_id, t.rule, t.number, side.letter) AS entries
    FROM (SELECT * FROM ledger.journals WHERE {part}) AS j
    JOIN (SELECT * FROM ledger.transfers WHERE {part}) AS t
      ON (t.event_id, t.rule) = (j.event_id, j.rule)
    CROSS JOIN LATERAL (VALUES (t.credit_account, 'c'::bytea), (t.debit_account, 'd'::bytea)) AS side (account, letter)
    GROUP BY side.account
"""


def _of_both(select: str) -> str:
    """Return the query for both books, which one statement reads at one moment."""
    return " UNION ALL ".join(
        select.format(book=book, part=_IN_PART.format(book=book), no_id=_NO_ID)
        for book in (":live::smallint", ":rebuilt::smallint")
    )


_READ_ENTRIES = Statement(f"""
    SELECT part.book, a.owner, a.kind, a.currency, a.places, part.entries
    FROM ({_of_both(_ENTRIES_OF)}) AS part JOIN ledger.accounts a ON a.id = part.account
""")

_JOURNALS_OF = """
    SELECT {book} AS book, j.event_id, j.rule, j.id, j.rule_version, j.happened_at, j.payment_id, j.operation_id,
           t.number, t.amount_minor, d.owner, d.kind, d.currency, d.places, c.owner, c.kind, c.currency, c.places
    FROM (SELECT * FROM ledger.journals WHERE {part}) AS j
    LEFT JOIN (SELECT * FROM ledger.transfers WHERE {part}) AS t ON (t.event_id, t.rule) = (j.event_id, j.rule)
    LEFT JOIN ledger.accounts d ON d.id = t.debit_account
    LEFT JOIN ledger.accounts c ON c.id = t.credit_account
"""
_READ_JOURNALS = Statement(f"{_of_both(_JOURNALS_OF)} ORDER BY 1, 2, 3, 9")

_COUNT_PART = Statement("""
    SELECT count(*) FROM ledger.journals
    WHERE book = :book::smallint AND event_id > :after::uuid AND event_id <= :until::uuid
""")


class Part(NamedTuple):
    """A part of two books: the events after one and until another."""

    live_book: int
    rebuilt_book: int
    after: UUID
    until: UUID


class BothBooks(NamedTuple):
    """The entries of a part by account, as domain/proof.py hashes them."""

    live: Mapping[AccountKey, bytes]
    rebuilt: Mapping[AccountKey, bytes]


class BothJournals(NamedTuple):
    """The journals of a part by key."""

    live: Mapping[JournalKey, ComparedJournal]
    rebuilt: Mapping[JournalKey, ComparedJournal]


def find_end(transaction: Transaction, live_book: int, rebuilt_book: int, after: UUID, count: int) -> UUID | None:
    """Return the event with which a part of `count` journals ends; None if both books end before."""
    found: UUID | None = transaction.run(_FIND_END, live=live_book, rebuilt=rebuilt_book, after=after, count=count - 1)[
        0
    ][0]
    return found


def read_entries(transaction: Transaction, part: Part) -> BothBooks:
    """Return the entries of a part of both books."""
    books: dict[int, dict[AccountKey, bytes]] = {part.live_book: {}, part.rebuilt_book: {}}
    for book, owner, kind, currency, places, entries in transaction.run(_READ_ENTRIES, **_parameters(part)):
        books[book][AccountKey(owner, AccountKind(kind), currency, places)] = entries
    return BothBooks(books[part.live_book], books[part.rebuilt_book])


def read_journals(transaction: Transaction, part: Part) -> BothJournals:
    """Return the journals of a part of both books, for a part whose entries differ."""
    rows: dict[tuple[int, JournalKey], list[Row]] = {}
    for row in transaction.run(_READ_JOURNALS, **_parameters(part)):
        rows.setdefault((row[0], JournalKey(row[1], row[2])), []).append(row)
    books: dict[int, dict[JournalKey, ComparedJournal]] = {part.live_book: {}, part.rebuilt_book: {}}
    for (book, key), of_journal in rows.items():
        books[book][key] = _journal(key, of_journal)
    return BothJournals(books[part.live_book], books[part.rebuilt_book])


def count_part(transaction: Transaction, part: Part) -> int:
    """Return how many journals the rebuilt book has in a part."""
    count: int = transaction.run(_COUNT_PART, book=part.rebuilt_book, after=part.after, until=part.until)[0][0]
    return count


def _parameters(part: Part) -> dict[str, object]:
    return {
        "live": part.live_book,
        "rebuilt": part.rebuilt_book,
        "after": part.after,
        "until": part.until,
    }


def _account(row: Row) -> AccountKey:
    owner, kind, currency, places = row
    return AccountKey(owner, AccountKind(kind), currency, places)


def _journal(key: JournalKey, rows: list[Row]) -> ComparedJournal:
    _, _, _, id_, version, happened_at, payment_id, operation_id, *_ = rows[0]
    return ComparedJournal(
        key=key,
        id=id_,
        rule_name=rule_name(key.rule),
        rule_version=version,
        happened_at=happened_at,
        payment_id=payment_id,
        operation_id=operation_id,
        transfers=tuple(
            ComparedTransfer(row[8], _account(row[10:14]), _account(row[14:18]), row[9])
            for row in rows
            if row[8] is not None
        ),
    )
