"""List rebuilds in pages, and books."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.core.cursors import position_of
from paybridge.database.database import Database
from paybridge.ledger.domain.rebuild import Rebuild
from paybridge.ledger.store import books, rebuilds
from paybridge.ledger.store.books import Book

# More than an operator keeps: a book that is not needed any more is dropped.
BOOKS_MAX = 1000


@dataclass(frozen=True, slots=True)
class RebuildPage:
    """Rebuilds, newest first, and the cursor of the next page."""

    rebuilds: list[Rebuild]
    next_cursor: str | None


def list_rebuilds(database: Database, *, cursor: str | None, limit: int) -> RebuildPage:
    """Return rebuilds, newest first, at most `limit` after the cursor.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # One more than asked for shows whether another page follows.
    found = rebuilds.list_newest(database, position_of(cursor), limit + 1)
    page = found[:limit]
    return RebuildPage(page, str(page[-1].id) if len(found) > limit else None)


def list_books(database: Database) -> list[Book]:
    """Return all books, newest first. Raises DatabaseUnavailable."""
    return books.list_books(database, BOOKS_MAX)
