"""AMQP messages as Lambda's `aws:rmq` events."""

from __future__ import annotations

from array import array
from binascii import b2a_base64
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def message_record(properties: dict[str, Any], body: bytes, *, redelivered: bool) -> bytes:
    """Return one entry of `rmqMessagesByQueue` as JSON bytes, from the result of `read_properties`."""
    if properties["headers"] is not None:
        properties["headers"] = _header_value(properties["headers"])
    if properties["timestamp"] is not None:
        properties["timestamp"] = timestamp_text(properties["timestamp"])
    properties["bodySize"] = len(body)
    data = b2a_base64(body, newline=False)
    return b'{"basicProperties":%s,"redelivered":%s,"data":"%s"}' % (
        orjson.dumps(properties),
        b"true" if redelivered else b"false",
        data,
    )


class BatchEvent:
    """The frame around the records of one queue. `size_bytes` is its exact length."""

    def __init__(self, broker_arn: str, queue: str, vhost: str) -> None:
        arn, key = orjson.dumps(broker_arn), orjson.dumps(f"{queue}::{vhost}")
        self._head = b'{"eventSource":"aws:rmq","eventSourceArn":' + arn + b',"rmqMessagesByQueue":{' + key + b":["
        self._tail = b"]}}"
        self.size_bytes = len(self._head) + len(self._tail)

    def payload(self, records: Sequence[bytes]) -> bytes:
        """Return the event as JSON bytes."""
        return self._head + b",".join(records) + self._tail


def timestamp_text(moment: datetime) -> str:
    """Return a time such as `Jan 1, 1970, 12:33:41 AM`: UTC, in English whatever the locale."""
    utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    half = "AM" if utc.hour < 12 else "PM"
    clock = f"{utc.hour % 12 or 12}:{utc.minute:02}:{utc.second:02} {half}"
    return f"{_MONTHS[utc.month - 1]} {utc.day}, {utc.year}, {clock}"


def _header_value(value: Any) -> Any:
    """Return the value with texts as lists of signed bytes, as Java's are. A reader masks each with 0xFF."""
    if isinstance(value, str):
        return {"bytes": array("b", value.encode("utf-8", "surrogateescape")).tolist()}
    if isinstance(value, bytes | bytearray):
        return {"bytes": array("b", bytes(value)).tolist()}
    if isinstance(value, dict):
        return {str(name): _header_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_header_value(item) for item in value]
    if isinstance(value, datetime):
        return timestamp_text(value)
    return str(value) if isinstance(value, Decimal) else value
