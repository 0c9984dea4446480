"""Message properties as Lambda's poller reads them: what one publisher wrote badly must not end everybody's connection.

RabbitMQ carries properties unread. pamqp refuses the whole frame when it cannot read one of them, upon which aiormq
closes the connection; the message returns to its queue, and again, until it is dead-lettered without a reason.
"""

from __future__ import annotations

import struct
from typing import Any

from pamqp import decode
from pamqp.commands import Basic


def read_properties_leniently() -> None:
    """Makes pamqp read properties by this module, in the whole process; may be called again."""
    # aiormq offers no hook. This is the smallest thing to replace: frames and methods stay as strict as they were.
    Basic.Properties.unmarshal = _unmarshal  # type: ignore[assignment,method-assign]


def _unmarshal(properties: Basic.Properties, flags: int, data: bytes) -> None:
    for name in properties.__slots__:
        if flags & properties.flags[name]:
            kind = properties.amqp_type(name)
            consumed, value = _read(kind, data)
            setattr(properties, name, value)
            data = data[consumed:]


def _read(kind: str, data: bytes) -> tuple[int, Any]:
    """How many bytes a property takes, and its value: None where it has none that can be read."""
    try:
        return decode.by_type(data, kind)
    except (ValueError, TypeError, OverflowError, OSError, struct.error):
        length = _length(kind, data)
    # The Java client of Lambda's poller puts replacement characters into a text.
    return length, data[1:length].decode("utf-8", "replace") if kind == "shortstr" else None


def _length(kind: str, data: bytes) -> int:
    if kind == "shortstr":
        return 1 + data[0] if data else 0
    if kind == "table":
        return 4 + int.from_bytes(data[:4], "big")
    return {"octet": 1, "timestamp": 8}[kind]
