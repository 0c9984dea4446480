"""Take delivered messages out of a connection's bytes before aiormq reads them.

aiormq makes three frame objects, two queue items and a task of each message, which costs four times as much as the rest
of its way to the function. Everything else on the connection stays with aiormq: the handshake, heartbeats, the channel
and acknowledgements.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

_METHOD, _HEADER, _BODY, _HEARTBEAT = 1, 2, 3, 8
# Type, channel and size of the payload; after the payload comes one byte that ends the frame.
_FRAME = struct.Struct(">BHI")
_BASIC_DELIVER = struct.pack(">HH", 60, 60)
_HEARTBEAT_FRAME = _FRAME.pack(_HEARTBEAT, 0, 0) + b"\xce"
_HEARTBEAT_SECONDS = 1.0
_READ_BYTES_MAX = 256 * 1024


@dataclass(slots=True)
class BrokerDelivery:
    """One message; `properties` are undecoded, from their flags on."""

    tag: int
    redelivered: bool
    consumer_tag: str = ""
    properties: bytes = b""
    body_bytes: int = 0
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)


class DeliveriesFirst(TransportFactory):
    """Opens the connection for aiormq: `on_delivery` gets every message, aiormq everything else."""

    def __init__(self, on_delivery: Callable[[BrokerDelivery], None]) -> None:
        self._on_delivery = on_delivery

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open the connection; raise AMQPConnectionError."""
        loop = asyncio.get_running_loop()
        provider = kwargs.pop("ssl_context_provider")
        tls = await provider.get_context() if url.scheme == "amqps" else None
        reader = asyncio.StreamReader(limit=_READ_BYTES_MAX, loop=loop)
        protocol = _Splitter(reader, loop, self._on_delivery)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "localhost", url.port or 5672, ssl=tls, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


class _Splitter(asyncio.StreamReaderProtocol):
    """A stream that hides the frames of deliveries from its reader."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
        on_delivery: Callable[[BrokerDelivery], None],
    ) -> None:
        super().__init__(reader, loop=loop)
        self._on_delivery = on_delivery
        # The beginning of a frame whose end has not arrived yet.
        self._rest = b""
        # The delivery whose header and body are arriving. On a channel nothing comes between them.
        self._delivery: BrokerDelivery | None = None
        self._heartbeat_at = 0.0

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, others = 0, []
        while len(data) - at > _FRAME.size:
            kind, _, size = _FRAME.unpack_from(data, at)
            start, end = at + _FRAME.size, at + _FRAME.size + size + 1
            if kind > _HEARTBEAT:
                # Not AMQP 0-9-1: aiormq knows what to say.
                end = len(data)
            elif end > len(data):
                break
            if not self._take(kind, data, start, end - 1):
                others.append(data[at:end])
            at = end
        self._rest = data[at:]
        if not others and self._is_heartbeat_due():
            others.append(_HEARTBEAT_FRAME)
        if others:
            super().data_received(b"".join(others))

    def _is_heartbeat_due(self) -> bool:
        """Tell whether aiormq needs a heartbeat: it gives up without, and the broker sends none while it delivers."""
        now = time.monotonic()
        if now - self._heartbeat_at < _HEARTBEAT_SECONDS:
            return False
        self._heartbeat_at = now
        return True

    def _take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Take the frame with this payload if it is part of a delivery, and return whether it is."""
        delivery = self._delivery
        if kind == _METHOD and data.startswith(_BASIC_DELIVER, start):
            # After the ids of class and method: length and consumer tag, delivery tag, one bit.
            at = start + 5 + data[start + 4]
            consumer_tag = data[start + 5 : at].decode()
            self._delivery = BrokerDelivery(int.from_bytes(data[at : at + 8]), bool(data[at + 8] & 1), consumer_tag)
            return True
        if delivery is None or kind not in {_HEADER, _BODY}:
            return False
        if kind == _HEADER:
            # After the id of the class and two unused bytes.
            delivery.body_bytes = int.from_bytes(data[start + 4 : start + 12])
            delivery.properties = data[start + 12 : end]
        else:
            delivery.parts.append(data[start:end])
            delivery.body_bytes -= end - start
        if delivery.body_bytes <= 0:
            self._delivery = None
            self._on_delivery(delivery)
        return True
