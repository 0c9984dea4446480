"""List API keys in pages."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.access.domain.api_keys import StoredKey
from paybridge.access.store import keys
from paybridge.core.cursors import position_of
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys, newest first, and the cursor of the next page."""

    keys: list[StoredKey]
    next_cursor: str | None


def list_keys(database: Database, merchant_id: UUID | None, *, cursor: str | None, limit: int) -> KeyPage:
    """Return the merchant's keys, or all keys if it is None, newest first, at most `limit` after the cursor.

    Expired and revoked ones are among them. Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # One more than asked for shows whether another page follows.
    found = keys.list_newest_first(database, merchant_id, before=position_of(cursor), limit=limit + 1)
    page = found[:limit]
    return KeyPage(page, str(page[-1].id) if len(found) > limit else None)
