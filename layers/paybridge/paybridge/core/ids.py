"""New identifiers: UUIDv7, which sort by time."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self) -> UUID:
        """Return a new UUIDv7, unique and sorting by time."""
        ...


class Uuid7Ids:
    """UUIDv7 (RFC 9562), increasing within one process."""

    def new(self) -> UUID:
        """Return a new identifier."""
        return uuid7()
