"""Cursors: opaque marks of where a page ended.

A cursor carries a checksum over the list it came from. A cursor that is damaged, or used with other filters or by
another merchant, is refused and does not silently skip items. It is no protection: every query names the merchant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from uuid import UUID

from paybridge.core.errors import InvalidInput

_VERSION = b"\x01"
_CHECKSUM_BYTES = 12


def encode_cursor(last_id: UUID, scope: str) -> str:
    """Return the cursor after the item `last_id` of the list that `scope` describes (merchant and filters)."""
    payload = _VERSION + last_id.bytes
    checksum = hashlib.sha256(payload + scope.encode()).digest()[:_CHECKSUM_BYTES]
    return base64.urlsafe_b64encode(payload + checksum).decode().rstrip("=")


def decode_cursor(cursor: str, scope: str) -> UUID:
    """Return the id given to encode_cursor. Raises InvalidInput (`cursor_invalid`)."""
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=", altchars=b"-_", validate=True)
        last_id = UUID(bytes=raw[1:17])
    except (binascii.Error, ValueError):
        raise _invalid() from None
    # Encoding again proves the version, the checksum and the one spelling that base64 should have.
    if encode_cursor(last_id, scope) != cursor:
        raise _invalid()
    return last_id


def encode_position(position: int, scope: str) -> str:
    """Return the cursor of a list that only grows at its end: how many of its items were shown."""
    return encode_cursor(UUID(int=position), scope)


def decode_position(cursor: str, scope: str) -> int:
    """Return the position given to encode_position. Raises InvalidInput (`cursor_invalid`)."""
    return decode_cursor(cursor, scope).int


def _invalid() -> InvalidInput:
    return InvalidInput(
        "cursor_invalid", "The cursor belongs to another list or other filters. Start without one.", "cursor"
    )
