"""Publishing to RabbitMQ: a batch is one write, and every message of it is confirmed and known to be routed.

aio-pika opens the connection and keeps it alive. Its own `publish` writes and awaits one message at a time, which is
several times slower; so the frames of a whole batch are built here and handed to the channel's writer at once, with
the channel's own bookkeeping of confirms and returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import aio_pika
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError
from aiormq.abc import ChannelFrame, DeliveredMessage
from aiormq.exceptions import DeliveryError
from pamqp import frame as amqp_frame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from paybridge.domain.errors import BrokerUnavailable
from paybridge.domain.events import CONTENT_TYPE
from paybridge.ports import Message

CONNECT_DEADLINE_SECONDS = 5.0
CLOSE_DEADLINE_SECONDS = 2.0
HEARTBEAT_SECONDS = 20
PERSISTENT = 2

_CHANNEL_LOST = "the broker closed the channel"
_Result = TypeVar("_Result")


class RabbitPublisher:
    """A Publisher on one connection, with one confirm channel at a time."""

    def __init__(self, connection: aio_pika.Connection) -> None:
        self._connection = connection
        self._channel: Any = None

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        """Publishes the batch; see `paybridge.ports.Publisher`.

        An exchange that is missing or forbidden makes the broker close the channel, and with it every message that
        it had not confirmed yet. Those are then published again, exchange by exchange, each on a channel of its own,
        so that only the messages for that exchange are refused.
        """
        refusals = await self._publish_on_one_channel(messages, deadline_seconds)
        stranded = [number for number, refusal in enumerate(refusals) if refusal and refusal.startswith(_CHANNEL_LOST)]
        by_exchange: dict[str, list[int]] = {}
        for number in stranded:
            by_exchange.setdefault(messages[number].exchange, []).append(number)
        if len(by_exchange) > 1 and not self._connection.is_closed:
            for numbers in by_exchange.values():
                again = await self._publish_on_one_channel([messages[number] for number in numbers], deadline_seconds)
                for number, refusal in zip(numbers, again, strict=True):
                    refusals[number] = refusal
        return refusals

    async def connect(self) -> None:
        """Opens the connection and its first channel; raises BrokerUnavailable."""
        await self._within_deadline(self._connection.connect())
        await self._ensure_channel()

    async def _publish_on_one_channel(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        await self._ensure_channel()
        confirmations = await self._send(messages)
        try:
            _, late = await asyncio.wait(confirmations, timeout=deadline_seconds)
        finally:
            for message in messages:
                self._channel.message_id_delivery_tag.pop(message.id, None)
        if late and self._channel.is_closed:
            raise BrokerUnavailable("The broker went away before it confirmed.")
        return [_refusal_of(confirmation) for confirmation in confirmations]

    async def _ensure_channel(self) -> None:
        if self._connection.is_closed:
            raise BrokerUnavailable("The connection to the broker is closed.")
        if self._channel is None or self._channel.is_closed:
            channel = await self._within_deadline(self._connection.channel(publisher_confirms=True))
            self._channel = await channel.get_underlay_channel()

    async def _within_deadline(self, step: Awaitable[_Result]) -> _Result:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_SECONDS):
                return await step
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            raise BrokerUnavailable(f"Cannot reach the broker: {type(error).__name__}.") from error

    async def _send(self, messages: Sequence[Message]) -> list[asyncio.Future[Any]]:
        channel = self._channel
        frames: list[bytes] = []
        confirmations = []
        now = datetime.now(UTC)
        async with channel.lock:
            for message in messages:
                channel.delivery_tag += 1
                confirmation = channel.create_future()
                channel.confirmations[channel.delivery_tag] = confirmation
                # A returned message is matched with its confirmation by its id.
                channel.message_id_delivery_tag[message.id] = channel.delivery_tag
                confirmations.append(confirmation)
                frames.extend(_frames_of(message, channel.number, channel.max_content_size, now))
            await channel.write_queue.put(ChannelFrame(payload=b"".join(frames), should_close=False))
        return confirmations


@asynccontextmanager
async def open_publisher(url: str) -> AsyncIterator[RabbitPublisher]:
    """A publisher on a connection of its own, closed at the end of the block.

    Raises BrokerUnavailable when the broker cannot be reached within CONNECT_DEADLINE_SECONDS. The connection is not
    a "robust" one: after a freeze of the environment, or an outage, a new one is opened on purpose.
    """
    connection = aio_pika.Connection(make_url(url, heartbeat=HEARTBEAT_SECONDS))
    try:
        publisher = RabbitPublisher(connection)
        await publisher.connect()
        yield publisher
    finally:
        await _close(connection)


async def _close(connection: aio_pika.Connection) -> None:
    try:
        async with asyncio.timeout(CLOSE_DEADLINE_SECONDS):
            await connection.close()
    except (AMQPError, OSError, TimeoutError):
        return  # The broker is gone; there is nothing left to close.


@lru_cache(maxsize=64)
def _publish_frame(exchange: str, routing_key: str, channel_number: int) -> bytes:
    return amqp_frame.marshal(Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True), channel_number)


def _frames_of(message: Message, channel_number: int, content_size_max: int, now: datetime) -> list[bytes]:
    properties = Basic.Properties(
        content_type=CONTENT_TYPE,
        headers=dict(message.headers or {}),
        delivery_mode=PERSISTENT,
        correlation_id=message.correlation_id,
        message_id=message.id,
        timestamp=now,
        message_type=message.type,
    )
    header = ContentHeader(properties=properties, body_size=len(message.body))
    frames = [
        _publish_frame(message.exchange, message.routing_key, channel_number),
        amqp_frame.marshal(header, channel_number),
    ]
    starts = range(0, len(message.body), content_size_max)
    bodies = (ContentBody(message.body[start : start + content_size_max]) for start in starts)
    return frames + [amqp_frame.marshal(body, channel_number) for body in bodies]


def _refusal_of(confirmation: asyncio.Future[Any]) -> str | None:
    if not confirmation.done() or confirmation.cancelled():
        return "not confirmed before the deadline"
    error = confirmation.exception()
    if isinstance(error, DeliveryError):
        return "refused by the broker"
    if error is not None:
        return f"{_CHANNEL_LOST}: {type(error).__name__}"
    if isinstance(confirmation.result(), DeliveredMessage):
        return "unroutable: no queue is bound for this exchange and key"
    return None
