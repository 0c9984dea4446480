"""Read corrections and list them in pages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.core.cursors import position_of
from paybridge.database.database import Database
from paybridge.ledger.domain.corrections import Correction
from paybridge.ledger.store import corrections


@dataclass(frozen=True, slots=True)
class CorrectionPage:
    """Corrections, newest first, and the cursor of the next page."""

    corrections: list[Correction]
    next_cursor: str | None


def read_correction(database: Database, correction_id: UUID) -> Correction | None:
    """Return a correction, None if there is none. Raises DatabaseUnavailable."""
    return corrections.find(database, correction_id)


def list_corrections(database: Database, *, cursor: str | None, limit: int) -> CorrectionPage:
    """Return corrections, newest first, at most `limit` after the cursor.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # One more than asked for shows whether another page follows.
    found = corrections.list_newest(database, position_of(cursor), limit + 1)
    page = found[:limit]
    return CorrectionPage(page, str(page[-1].id) if len(found) > limit else None)
