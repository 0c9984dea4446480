"""New identifiers: UUIDv7, which sort by time."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from paybridge.core.clock import ahead

# The time of a UUIDv7, in milliseconds, is what precedes these bits.
_BITS_AFTER_TIME = 80
_MILLISECOND = timedelta(milliseconds=1)


class Ids(Protocol):
    """A source of new identifiers."""

    def new(self) -> UUID:
        """Return a new UUIDv7, unique and sorting by time."""
        ...


class Uuid7Ids:
    """UUIDv7 (RFC 9562), increasing within one process."""

    def new(self) -> UUID:
        """Return a new identifier."""
        new, offset = uuid7(), ahead()
        return UUID(int=new.int + (offset // _MILLISECOND << _BITS_AFTER_TIME)) if offset else new
