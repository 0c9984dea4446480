"""Cursors: opaque marks of where a page ended.

A cursor carries a checksum over the list it came from, so one that is damaged, or used with other filters or by another
merchant, is refused and does not quietly skip payments. It protects nothing: every query names the merchant anyway.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final
from uuid import UUID

from paybridge.domain.errors import InvalidInput

_VERSION: Final = b"\x01"
_CHECKSUM_BYTES: Final = 12
# One byte of version, sixteen of id and the checksum, in base64 without padding.
_CURSOR_CHARACTERS: Final = 39


def encode_cursor(last_id: UUID, scope: str) -> str:
    """The cursor behind the item `last_id` of the list that `scope` describes (merchant and filters)."""
    payload = _VERSION + last_id.bytes
    return base64.urlsafe_b64encode(payload + _checksum(payload, scope)).decode().rstrip("=")


def decode_cursor(cursor: str, scope: str) -> UUID:
    """The id that encode_cursor was given; raises InvalidInput (`cursor_invalid`)."""
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=", altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise _invalid() from None
    payload, checksum = raw[:17], raw[17:]
    genuine = hmac.compare_digest(checksum, _checksum(payload, scope))
    if len(cursor) != _CURSOR_CHARACTERS or payload[:1] != _VERSION or not genuine:
        raise _invalid()
    return UUID(bytes=payload[1:])


def _checksum(payload: bytes, scope: str) -> bytes:
    return hashlib.sha256(payload + scope.encode()).digest()[:_CHECKSUM_BYTES]


def _invalid() -> InvalidInput:
    return InvalidInput("cursor_invalid", "The cursor is not one that this list, with these filters, gave.", "cursor")
