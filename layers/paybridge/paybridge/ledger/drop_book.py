"""Drop a book that is retired or was never live, in parts, because it may have millions of journals."""

from __future__ import annotations

import time

from paybridge.database.database import Database
from paybridge.ledger.store import books, rebuilds

# Rows of one transaction, which takes a fraction of a second.
PART_ROWS = 10_000


class BookUnknown(Exception):
    """There is no such book."""


class BookInUse(Exception):
    """The book is live, or a rebuild that is running needs it; the message says which."""


def drop_book(database: Database, book: int, seconds_max: float) -> bool:
    """Begin to drop a book, or go on with it for so long; tell whether it is gone.

    Raises BookUnknown, BookInUse and DatabaseUnavailable.
    """
    with database.transaction() as transaction:
        found = books.lock(transaction, book)
        if found is None:
            raise BookUnknown
        if found.state == "live":
            raise BookInUse("The live book cannot be dropped.")
        if rebuilds.is_in_use(transaction, book):
            raise BookInUse("A rebuild is filling this book or comparing it with another. Drop it once that has ended.")
        if found.state != "dropping":
            books.begin_dropping(transaction, book)
    return _drop_parts(database, book, time.monotonic() + seconds_max)


def work_on_drops(database: Database, seconds_max: float) -> int:
    """Go on with every drop that has begun, for so long; return how many books are gone."""
    ends_at = time.monotonic() + seconds_max
    return sum(_drop_parts(database, book, ends_at) for book in books.dropping(database))


def _drop_parts(database: Database, book: int, ends_at: float) -> bool:
    while True:
        if not books.drop_part(database, book, PART_ROWS):
            return True
        if time.monotonic() >= ends_at:
            return False
