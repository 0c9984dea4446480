"""New identifiers: UUIDv7, which sort by time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from uuid_utils.compat import uuid7

from paybridge.core.clock import ahead

# The time of a UUIDv7, in milliseconds, is what precedes these bits.
_BITS_AFTER_TIME = 80
_MILLISECOND = timedelta(milliseconds=1)
_TIMED_VERSION = 7


# Ids of one thing are made on several machines.
_CLOCKS_DIFFER = timedelta(hours=1)


def followers_floor(ids: Iterable[UUID]) -> UUID:
    """Return an id below those of whatever was made after the first of these, such as the events of payments.

    A query that names it reads no earlier months.
    """
    first = min(ids, default=None)
    if first is None or first.version != _TIMED_VERSION:
        return UUID(int=0)
    return UUID(int=max(first.int - (_CLOCKS_DIFFER // _MILLISECOND << _BITS_AFTER_TIME), 0))


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
