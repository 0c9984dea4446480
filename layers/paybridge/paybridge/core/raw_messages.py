"""A message as the broker carries it: bytes and properties, before anything in it is understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message taken from `queue`.

    `headers` are JSON-safe: objects, arrays, texts without NUL, numbers, booleans and null. Bytes that are no text are
    `{"base64": …}`. `redelivered` says that the broker has handed the message out before.
    """

    queue: str
    body: bytes
    message_id: str = ""
    type: str = ""
    correlation_id: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    redelivered: bool = False
    content_encoding: str = ""
