"""The machine's own clock, and its sources of identifiers and passwords."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7


class SystemClock:
    """The time of this machine."""

    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)


class Uuid7Ids:
    """UUIDv7 (RFC 9562), increasing within one process."""

    def new(self) -> UUID:
        """A new identifier."""
        return uuid7()


PASSWORD_CHARACTERS: Final = 40
_ALPHABET: Final = string.ascii_letters + string.digits


def new_password() -> str:
    """238 bits of chance in letters and digits alone, which no URL, shell or policy has to quote."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(PASSWORD_CHARACTERS))
