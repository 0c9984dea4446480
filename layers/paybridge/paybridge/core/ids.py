"""Where new identifiers come from."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7


class Ids(Protocol):
    """Where new identifiers come from."""

    def new(self) -> UUID:
        """A new UUIDv7: unique, and sorting by time."""
        ...


class Uuid7Ids:
    """UUIDv7 (RFC 9562), increasing within one process."""

    def new(self) -> UUID:
        """A new identifier."""
        return uuid7()
