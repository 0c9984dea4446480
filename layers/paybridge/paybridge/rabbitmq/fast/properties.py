"""Read message properties as Lambda's poller does: one malformed property must not end the whole connection.

RabbitMQ carries properties unread. A client that refuses a frame because it cannot read one of them would lose its
connection, the message would return to its queue, and again, until it is dead-lettered without a reason.
"""

from __future__ import annotations

import struct
from typing import Any

from pamqp import decode

# Names as in Lambda's events, from the highest bit of the flags down, with their AMQP types.
_PROPERTIES = tuple(
    (1 << (15 - position), name, kind)
    for position, (name, kind) in enumerate(
        (
            ("contentType", "shortstr"),
            ("contentEncoding", "shortstr"),
            ("headers", "table"),
            ("deliveryMode", "octet"),
            ("priority", "octet"),
            ("correlationId", "shortstr"),
            ("replyTo", "shortstr"),
            ("expiration", "shortstr"),
            ("messageId", "shortstr"),
            ("timestamp", "timestamp"),
            ("type", "shortstr"),
            ("userId", "shortstr"),
            ("appId", "shortstr"),
            ("clusterId", "shortstr"),
        )
    )
)
_UNREADABLE = (ValueError, TypeError, OverflowError, OSError, struct.error)


def read_properties(data: bytes) -> dict[str, Any]:
    """Return every property by its name in Lambda's events; None if it is unset or cannot be read."""
    flags, at = int.from_bytes(data[:2]), 2
    found: dict[str, Any] = {}
    for flag, name, kind in _PROPERTIES:
        value = None
        if flags & flag:
            if kind == "shortstr":
                end = at + 1 + int.from_bytes(data[at : at + 1])
                # The Java client of Lambda's poller puts replacement characters into a text.
                value = data[at + 1 : end].decode("utf-8", "replace")
                at = end
            else:
                value, at = _read(kind, data, at)
        found[name] = value
    return found


def _read(kind: str, data: bytes, at: int) -> tuple[Any, int]:
    """Return the value that begins at `at`, and where the next one begins."""
    length = 4 + int.from_bytes(data[at : at + 4]) if kind == "table" else {"octet": 1, "timestamp": 8}[kind]
    value = None
    try:
        _, value = decode.by_type(data[at : at + length], kind)
    except _UNREADABLE:
        value = None
    return value, at + length
