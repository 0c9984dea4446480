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
_ID_BYTES = 16


def encode_cursor(last_id: UUID, scope: str) -> str:
    """Return the cursor after the item `last_id` of the list that `scope` describes (merchant and filters)."""
    return encode_bytes(last_id.bytes, scope)


def decode_cursor(cursor: str, scope: str) -> UUID:
    """Return the id given to encode_cursor. Raises InvalidInput (`cursor_invalid`)."""
    place = decode_bytes(cursor, scope)
    if len(place) != _ID_BYTES:
        raise _invalid()
    return UUID(bytes=place)


def encode_bytes(place: bytes, scope: str) -> str:
    """Return the cursor of any place in the list that `scope` describes."""
    payload = _VERSION + place
    checksum = hashlib.sha256(payload + scope.encode()).digest()[:_CHECKSUM_BYTES]
    return base64.urlsafe_b64encode(payload + checksum).decode().rstrip("=")


def decode_bytes(cursor: str, scope: str) -> bytes:
    """Return the place given to encode_bytes. Raises InvalidInput (`cursor_invalid`)."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise _invalid() from None
    place = raw[len(_VERSION) : -_CHECKSUM_BYTES]
    # Encoding again proves the version, the checksum and the one spelling that base64 should have.
    if encode_bytes(place, scope) != cursor:
        raise _invalid()
    return place


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
