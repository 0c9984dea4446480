"""The machine's own clock and source of identifiers."""

from __future__ import annotations

from datetime import UTC, datetime
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
