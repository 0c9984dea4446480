"""Cursors of lists that are ordered by id and have no filters: the id of the last item."""

from __future__ import annotations

from uuid import UUID

from paybridge.core.errors import InvalidInput


def position_of(cursor: str | None) -> UUID | None:
    """Return the id in a cursor, None for the first page. Raises InvalidInput (`cursor_invalid`)."""
    if not cursor:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidInput("cursor_invalid", "Send a next_cursor of this list unchanged, or none.", "cursor") from None
