"""The books: which one is live, and how a book begins, takes over and goes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.times import format_time
from paybridge.database.database import Database, Statement, Transaction

_COLUMNS = "id, name, state, rules_version, created_at, switched_at"

_LIST = Statement(f"SELECT {_COLUMNS} FROM ledger.books ORDER BY id DESC LIMIT :limit::integer")
_FIND_LIVE = Statement(f"SELECT {_COLUMNS} FROM ledger.books WHERE state = 'live'")
# The lock lets every other batch post, and makes a switch to another book wait for them.
_SHARE_LIVE = Statement("SELECT id FROM ledger.books WHERE state = 'live' FOR SHARE")
_SHARE = Statement(f"SELECT {_COLUMNS} FROM ledger.books WHERE id = :id::smallint FOR SHARE")
_LOCK = Statement(f"SELECT {_COLUMNS} FROM ledger.books WHERE id = :id::smallint FOR UPDATE")

_ADD = Statement("""
    INSERT INTO ledger.books (id, name, state, rules_version, posting_since)
    SELECT nextval('ledger.book_numbers'), :name::text, 'building', :rules_version::integer, posting_since
    FROM ledger.books WHERE state = 'live'
    RETURNING id
""")

# One book is live at any time, so the old one goes first.
_RETIRE = Statement("UPDATE ledger.books SET state = 'retired' WHERE id = :id::smallint")
_MAKE_LIVE = Statement("""
    UPDATE ledger.books SET state = 'live', switched_at = :at::timestamptz WHERE id = :id::smallint
""")

# What is sealed is counted by its blocks, because a count of the journals takes minutes. The rest is little.
_ESTIMATE = Statement("""
    SELECT coalesce((SELECT sum(journals) FROM ledger.seals WHERE book = :book::smallint), 0)::bigint + (
        SELECT count(*) FROM (
            SELECT FROM ledger.journals
            WHERE book = :book::smallint AND rule_version > 0
              AND xid > coalesce((SELECT last_xid FROM ledger.seal_heads WHERE book = :book::smallint), '0')
            ORDER BY xid LIMIT :unsealed_max::integer
        ) AS unsealed)
""")
UNSEALED_MAX = 10_000

_BEGIN_DROPPING = Statement("UPDATE ledger.books SET state = 'dropping' WHERE id = :id::smallint")
_DROP_PART = Statement("SELECT ledger.drop_part(:id::smallint, :rows_max::integer)")
_FIND_DROPPING = Statement("SELECT id FROM ledger.books WHERE state = 'dropping' ORDER BY id")


class Book(NamedTuple):
    """A book and its state: building, live, retired or dropping."""

    id: int
    name: str
    state: str
    rules_version: int
    created_at: datetime
    switched_at: datetime | None

    def view(self) -> dict[str, Any]:
        """Return the book as operators see it, JSON-ready."""
        return {
            "book": self.id,
            "name": self.name,
            "state": self.state,
            "rules_version": self.rules_version,
            "created_at": format_time(self.created_at),
            "switched_at": None if self.switched_at is None else format_time(self.switched_at),
        }


def share_live(transaction: Transaction) -> int:
    """Return the live book, which stays live until this transaction ends."""
    while True:
        # A switch that this had to wait for leaves no row: the old book is retired, and the new one was not live when
        # the statement began.
        for row in transaction.run(_SHARE_LIVE):
            book: int = row[0]
            return book


def share(transaction: Transaction, book: int) -> Book | None:
    """Return a book, which stays in its state until this transaction ends; None if there is none."""
    rows = transaction.run(_SHARE, id=book)
    return Book(*rows[0]) if rows else None


def list_books(database: Database, limit: int) -> list[Book]:
    """Return the newest books, newest first."""
    return [Book(*row) for row in database.run(_LIST, limit=limit)]


def find_live(transaction: Transaction) -> Book:
    """Return the live book, without a lock."""
    return Book(*transaction.run(_FIND_LIVE)[0])


def estimate_journals(transaction: Transaction, book: int) -> int:
    """Return about how many journals a book has: all that are sealed, and up to UNSEALED_MAX others."""
    count: int = transaction.run(_ESTIMATE, book=book, unsealed_max=UNSEALED_MAX)[0][0]
    return count


def lock(transaction: Transaction, book: int) -> Book | None:
    """Lock a book against postings into it while it is live; None if there is none."""
    rows = transaction.run(_LOCK, id=book)
    return Book(*rows[0]) if rows else None


def add_building(transaction: Transaction, rebuild_id: UUID, rules_version: int) -> int:
    """Add a book that a rebuild fills, to succeed the live one; return its number."""
    number: int = transaction.run(_ADD, name=f"rebuild {rebuild_id}", rules_version=rules_version)[0][0]
    return number


def switch(transaction: Transaction, live: int, successor: int, at: datetime) -> None:
    """Make the successor the live book. Both are locked."""
    transaction.run(_RETIRE, id=live)
    transaction.run(_MAKE_LIVE, id=successor, at=at)


def begin_dropping(transaction: Transaction, book: int) -> None:
    """Let the journals of a locked book be removed, which is retired or was never live."""
    transaction.run(_BEGIN_DROPPING, id=book)


def drop_part(database: Database, book: int, rows_max: int) -> int:
    """Remove a part of a book that is being dropped; return how many rows that were, 0 at the end."""
    removed: int = database.run(_DROP_PART, id=book, rows_max=rows_max)[0][0]
    return removed


def dropping(database: Database) -> list[int]:
    """Return the books that are being dropped."""
    return [row[0] for row in database.run(_FIND_DROPPING)]
