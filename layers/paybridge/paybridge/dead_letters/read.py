"""Read dead letters: in pages, one by one, and in groups."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.core.cursors import position_of
from paybridge.database.database import Database
from paybridge.dead_letters.domain import DeadLetter, DeadLetterContent, Group, Selection
from paybridge.dead_letters.store import reading

# An answer of Lambda ends at 6 MB, and a control character takes six bytes in JSON.
BODY_BYTES_MAX = 512 * 1024
GROUPS_MAX = 100


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """Dead letters, newest first, and the cursor of the next page."""

    letters: list[DeadLetter]
    next_cursor: str | None


def list_dead_letters(database: Database, selection: Selection, *, cursor: str | None, limit: int) -> DeadLetterPage:
    """Return the dead letters of the selection, newest first, at most `limit` after the cursor.

    An item takes some kilobytes at most, because texts are bounded and contents are left out. Raises InvalidInput
    (`cursor_invalid`) and DatabaseUnavailable.
    """
    before = position_of(cursor)
    # One more than asked for shows whether another page follows.
    letters = reading.list_newest_first(database, selection, before=before, limit=limit + 1)
    page = letters[:limit]
    return DeadLetterPage(page, str(page[-1].id) if len(letters) > limit else None)


def read_dead_letter(database: Database, id_: UUID) -> DeadLetterContent | None:
    """Return one dead letter with headers and up to BODY_BYTES_MAX of its body. Raises DatabaseUnavailable."""
    return reading.read_one(database, id_, BODY_BYTES_MAX)


def group_dead_letters(database: Database, selection: Selection) -> list[Group]:
    """Return the groups of the selection, largest first, at most GROUPS_MAX. Raises DatabaseUnavailable."""
    return reading.group(database, selection, GROUPS_MAX)
