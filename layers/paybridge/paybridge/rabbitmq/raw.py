"""Read messages of any sender without understanding them, from Lambda's event or from a worker's subscription.

Nothing here refuses a message: what cannot be read as it was sent is kept in the nearest form that JSON can hold.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from paybridge.core.errors import MalformedMessage
from paybridge.core.raw_messages import RawMessage

if TYPE_CHECKING:
    from paybridge.rabbitmq.subscription import TakenMessage

# AMQP limits the size of headers, not their depth. JSON libraries give up at a few hundred levels.
HEADER_LEVELS_MAX = 16
TOO_DEEP = "nested too deeply"
# Integers beyond are stored as text.
INTEGER_MAX = 2**63


def raw_messages_of_event(lambda_event: Mapping[str, Any]) -> list[RawMessage]:
    """Return every message of an `aws:rmq` event. Raises MalformedMessage if the invocation is no such event."""
    by_queue = lambda_event.get("rmqMessagesByQueue")
    if not isinstance(by_queue, Mapping):
        raise MalformedMessage("the invocation is no aws:rmq event")
    return [
        _raw_message(queue_and_vhost.partition("::")[0], message.get("basicProperties") or {}, message)
        for queue_and_vhost, messages in by_queue.items()
        for message in messages
    ]


def raw_messages_of(taken: Sequence[TakenMessage]) -> list[RawMessage]:
    """Return the messages that a worker has taken from its queues."""
    return [
        RawMessage(
            queue=one.queue,
            body=one.body,
            message_id=_text(one.message_id),
            type=_text(one.properties.get("type")),
            correlation_id=_text(one.properties.get("correlationId")),
            headers=json_headers(one.properties.get("headers")),
            redelivered=one.redelivered,
            content_encoding=_text(one.properties.get("contentEncoding")),
        )
        for one in taken
    ]


def json_headers(headers: Any) -> dict[str, Any]:
    """Return AMQP headers of any type in the form that `RawMessage` describes; none if they cannot be read."""
    safe = _json_value(headers or {}, HEADER_LEVELS_MAX)
    return safe if isinstance(safe, dict) else {}


def _raw_message(queue: str, properties: Mapping[str, Any], message: Mapping[str, Any]) -> RawMessage:
    return RawMessage(
        queue=queue,
        body=_body(message.get("data")),
        message_id=_text(properties.get("messageId")),
        type=_text(properties.get("type")),
        correlation_id=_text(properties.get("correlationId")),
        headers=json_headers(properties.get("headers")),
        redelivered=bool(message.get("redelivered")),
        content_encoding=_text(properties.get("contentEncoding")),
    )


def _body(data: Any) -> bytes:
    try:
        return base64.b64decode(data or "", validate=True)
    except (binascii.Error, TypeError, ValueError):
        return str(data).encode("utf-8", "replace")


def _json_value(value: Any, levels: int) -> Any:
    match value:
        case Mapping():
            safe: Any = _json_object(value, levels)
        case list() | tuple():
            safe = [_json_value(item, levels - 1) for item in value] if levels else TOO_DEEP
        case bytes() | bytearray():
            safe = _text_or_base64(bytes(value))
        case str():
            safe = _text_or_base64(value.encode("utf-8", "replace"))
        case None | bool():
            safe = value
        case int() if -INTEGER_MAX <= value < INTEGER_MAX:
            safe = value
        case float() if math.isfinite(value):
            safe = value
        case _:
            safe = _text(str(value))
    return safe


def _json_object(value: Mapping[Any, Any], levels: int) -> Any:
    # Lambda writes every text as its bytes, signed as Java's are.
    if value.keys() == {"bytes"} and _are_bytes(value["bytes"]):
        return _text_or_base64(bytes(byte & 0xFF for byte in value["bytes"]))
    if not levels:
        return TOO_DEEP
    return {_text(str(name)): _json_value(item, levels - 1) for name, item in value.items()}


def _are_bytes(value: Any) -> bool:
    return isinstance(value, list) and all(type(byte) is int and -128 <= byte < 256 for byte in value)


def _text_or_base64(data: bytes) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}
    return {"base64": base64.b64encode(data).decode()} if "\0" in text else text


def _text(value: Any) -> str:
    """Return a property as a text that PostgreSQL and JSON can hold."""
    return str(value or "").encode("utf-8", "replace").decode().replace("\0", "\ufffd")
