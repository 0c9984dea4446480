"""Encode the frames of all messages to publish in one piece.

pamqp makes the same bytes field by field and frame by frame, which took a quarter of the relay's time. Here pamqp makes
the method frame once for each exchange and key, and only the fields that differ between messages are encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from struct import Struct

from pamqp import encode
from pamqp import frame as amqp_frame
from pamqp.commands import Basic

from paybridge.core.events import CONTENT_TYPE
from paybridge.outbox.ports import Message

PERSISTENT = 2

_HEADER_FRAME, _BODY_FRAME, _FRAME_END = 2, 3, b"\xce"
# Kind of frame, channel, size of what follows; in a content header then class, weight, size of the body, and flags that
# say which properties follow, in the order of the specification.
_FRAME_START = Struct(">BHI")
_HEADER_START = Struct(">BHIHHQH")
_HEADER_START_BYTES = _HEADER_START.size - _FRAME_START.size
_FLAGS = sum(
    Basic.Properties.flags[name]
    for name in (
        "content_type",
        "headers",
        "delivery_mode",
        "correlation_id",
        "message_id",
        "timestamp",
        "message_type",
    )
)
_CONTENT_TYPE = encode.short_string(CONTENT_TYPE)
_DELIVERY_MODE = encode.octet(PERSISTENT)
_NO_HEADERS = encode.field_table({})


class Unsendable(ValueError):
    """The message at `number` has an id, a type, a key or a header longer than AMQP allows."""

    def __init__(self, number: int) -> None:
        super().__init__(f"message {number} has a property that is too long for AMQP")
        self.number = number


def marshal(messages: Sequence[Message], channel_number: int, content_bytes_max: int, now: datetime) -> bytes:
    """Encode all frames of the messages, each persistent and `mandatory`, bodies split at `content_bytes_max`.

    Raises Unsendable for the first message that AMQP cannot carry.
    """
    timestamp = encode.timestamp(now)
    parts: list[bytes] = []
    for number, message in enumerate(messages):
        try:
            parts += _publish_frames(message, channel_number, timestamp)
        except (TypeError, ValueError) as error:
            raise Unsendable(number) from error
        body = message.body
        for start in range(0, len(body), content_bytes_max):
            content = body[start : start + content_bytes_max]
            parts += (_FRAME_START.pack(_BODY_FRAME, channel_number, len(content)), content, _FRAME_END)
    return b"".join(parts)


def _publish_frames(message: Message, channel_number: int, timestamp: bytes) -> tuple[bytes, ...]:
    """Return the method frame, and the content header in three parts."""
    properties = b"".join(
        (
            _CONTENT_TYPE,
            encode.field_table({**message.headers}) if message.headers else _NO_HEADERS,
            _DELIVERY_MODE,
            _short_string(message.correlation_id),
            _short_string(message.id),
            timestamp,
            _short_string(message.type),
        )
    )
    size = _HEADER_START_BYTES + len(properties)
    return (
        _method_frame(message.exchange, message.routing_key, channel_number),
        _HEADER_START.pack(_HEADER_FRAME, channel_number, size, Basic.frame_id, 0, len(message.body), _FLAGS),
        properties,
        _FRAME_END,
    )


def _short_string(text: str) -> bytes:
    encoded = text.encode()
    # A length that is no byte is a ValueError.
    return bytes((len(encoded),)) + encoded


@lru_cache(maxsize=64)
def _method_frame(exchange: str, routing_key: str, channel_number: int) -> bytes:
    return amqp_frame.marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel_number)
