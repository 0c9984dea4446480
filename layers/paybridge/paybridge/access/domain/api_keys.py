"""API keys: their form, their checksum, and how long they work.

A key is `pbk_`, 30 random base62 characters and 6 characters of checksum: the CRC-32 of the 30, in base62. The form is
that of GitHub's tokens (https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/),
so secret scanners find a key by `KEY_PATTERN`, and a mistyped one is refused without a look-up.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.access.domain.caller import Role
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.core.times import format_time

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARACTERS = 30
CHECKSUM_CHARACTERS = 6
PREFIX = "pbk_"
KEY_PATTERN = r"pbk_[0-9A-Za-z]{36}"
NAME_CHARACTERS_MAX = 200
OVERLAP_SECONDS = 86_400
OVERLAP_SECONDS_MAX = 7 * 86_400

_KEY = re.compile(KEY_PATTERN)
# The form of keys before there were checksums.
_OLD_KEY = re.compile(r"pbk_[0-9A-Za-z_-]{43}")


class KeyState(StrEnum):
    """Whether a key works."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """An API key as it is stored: without the key itself, of which only the SHA-256 and the last characters are kept.

    `replaced_by` is the key that rotation has made in its place.
    """

    id: UUID
    name: str | None
    role: Role
    merchant_id: UUID | None
    last_four: str | None
    rate_limit: RateLimit | None
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by: UUID | None

    def state(self, now: datetime) -> KeyState:
        """Return whether the key works `now`."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        return KeyState.EXPIRED if self.expires_at is not None and self.expires_at <= now else KeyState.ACTIVE


def key_of(random_characters: str) -> str:
    """Return the key with these RANDOM_CHARACTERS base62 characters."""
    return f"{PREFIX}{random_characters}{checksum(random_characters)}"


def checksum(random_characters: str) -> str:
    """Return the CRC-32 of the characters in base62, padded with zeros."""
    rest, digits = binascii.crc32(random_characters.encode("ascii")), ""
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(BASE62))
        digits = BASE62[digit] + digits
    return digits


def may_be_key(text: str) -> bool:
    """Return whether a text has the form of a key. What has not need not be looked up."""
    return _OLD_KEY.fullmatch(text) is not None or (_KEY.fullmatch(text) is not None and not is_mistyped(text))


def is_mistyped(text: str) -> bool:
    """Return whether a text looks like a key and has a wrong checksum."""
    body = text.removeprefix(PREFIX)
    return _KEY.fullmatch(text) is not None and checksum(body[:RANDOM_CHARACTERS]) != body[RANDOM_CHARACTERS:]


def key_hash(api_key: str) -> bytes:
    """Return the SHA-256 by which an API key is stored. Keys are long and random, so no slow hash is needed."""
    return hashlib.sha256(api_key.encode()).digest()


def last_four(api_key: str) -> str:
    """Return the last four characters, by which people recognize a key."""
    return api_key[-4:]


def expiry_after_rotation(expires_at: datetime | None, now: datetime, overlap_seconds: int) -> datetime:
    """Return when a key that is rotated `now` expires: after the overlap, or earlier if it had to anyway."""
    ends_at = now + timedelta(seconds=overlap_seconds)
    return ends_at if expires_at is None else min(expires_at, ends_at)


def key_view(key: StoredKey, now: datetime) -> dict[str, Any]:
    """Return the key as answers show it, JSON-ready."""
    return {
        "key_id": str(key.id),
        "name": key.name,
        "role": str(key.role),
        "merchant_id": _text(key.merchant_id),
        "last_four": key.last_four,
        "status": str(key.state(now)),
        "rate_limit": None if key.rate_limit is None else key.rate_limit.view(),
        "created_at": format_time(key.created_at),
        "expires_at": _time(key.expires_at),
        "last_used_at": _time(key.last_used_at),
        "revoked_at": _time(key.revoked_at),
        "replaced_by": _text(key.replaced_by),
    }


def _text(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
