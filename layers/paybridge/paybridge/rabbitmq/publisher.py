"""Publish to RabbitMQ: a batch is one write, and every message is confirmed and known to be routed.

aio-pika opens the connection and keeps it alive. Its own `publish` writes and awaits one message at a time, which is
several times slower; so the frames of a whole batch are built here (`frames.py`) and handed to the connection's writer
at once, and confirms are counted by the batch (`confirms.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError

from paybridge.core.clock import process_time
from paybridge.core.errors import BrokerUnavailable
from paybridge.outbox.ports import Message
from paybridge.rabbitmq.connecting import (
    CLOSE_DEADLINE_SECONDS,
    CONNECT_DEADLINE_SECONDS,
    HEARTBEAT_SECONDS,
    answered,
    close,
    handshake,
)
from paybridge.rabbitmq.fast import frames
from paybridge.rabbitmq.fast.confirms import ConfirmChannel, SentBatch, open_confirm_channel
from paybridge.rabbitmq.logins import FreshUrls, logged_in, no_fresh_urls

_CHANNEL_LOST = "the broker closed the channel"
_TOO_LONG = "an id, a type, a key or a header of it is longer than AMQP allows"
_Result = TypeVar("_Result")


class RabbitPublisher:
    """A Publisher on one connection; several batches may be on their way at once, on one channel."""

    def __init__(self, connection: aio_pika.Connection) -> None:
        self._connection = connection
        self._channel: ConfirmChannel | None = None
        self._opening = asyncio.Lock()

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        """Publish the batch; see `paybridge.outbox.ports.Publisher`.

        An exchange that is missing or forbidden makes the broker close the channel, and with it everything that it had
        not confirmed yet, of other batches as well. That is published again, exchange by exchange, each on a new
        channel, so that only the messages for that exchange are refused.
        """
        try:
            refusals = await self._publish_on(await self._shared_channel(), messages, deadline_seconds)
        except frames.Unsendable as error:
            others = [message for number, message in enumerate(messages) if number != error.number]
            refusals = await self.publish(others, deadline_seconds) if others else []
            return [*refusals[: error.number], _TOO_LONG, *refusals[error.number :]]
        by_exchange: dict[str, list[int]] = {}
        for number, refusal in enumerate(refusals):
            if refusal and refusal.startswith(_CHANNEL_LOST):
                by_exchange.setdefault(messages[number].exchange, []).append(number)
        if not self._connection.is_closed:
            for numbers in by_exchange.values():
                again = await self._publish_apart([messages[number] for number in numbers], deadline_seconds)
                for number, refusal in zip(numbers, again, strict=True):
                    refusals[number] = refusal
        return refusals

    async def connect(self) -> None:
        """Open the connection and its first channel; raise BrokerUnavailable."""
        await handshake(self._connection.connect(), f"{self._connection.url.host}:{self._connection.url.port}")
        await self._shared_channel()

    async def _publish_apart(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        channel = await self._open_channel()
        refusals = await self._publish_on(channel, messages, deadline_seconds)
        await self._within_deadline(channel.close(), CLOSE_DEADLINE_SECONDS)
        return refusals

    async def _publish_on(
        self, channel: ConfirmChannel, messages: Sequence[Message], deadline_seconds: float
    ) -> list[str | None]:
        payload = frames.marshal(messages, channel.number, channel.max_content_size, process_time())
        batch = await self._within_deadline(channel.send(messages, payload), deadline_seconds)
        try:
            # Not `await`: a connection that is being closed fails its futures with CancelledError.
            await asyncio.wait([batch.all_settled], timeout=deadline_seconds)
        finally:
            channel.forget(batch)
        if batch.all_settled.cancelled() or (channel.is_closed and not batch.all_settled.done()):
            raise BrokerUnavailable("The broker went away before it confirmed.")
        return _refusals_of(batch)

    async def _shared_channel(self) -> ConfirmChannel:
        # Several batches may find at once that the channel is gone; they need one new channel together.
        async with self._opening:
            if self._connection.is_closed or self._channel is None or self._channel.is_closed:
                self._channel = await self._open_channel()
            return self._channel

    async def _open_channel(self) -> ConfirmChannel:
        transport = self._connection.transport
        if transport is None or self._connection.is_closed:
            raise BrokerUnavailable("The connection to the broker is closed.")
        return await self._within_deadline(open_confirm_channel(transport.connection), CONNECT_DEADLINE_SECONDS)

    async def _within_deadline(self, step: Awaitable[_Result], seconds: float) -> _Result:
        try:
            return await answered(step, seconds)
        except AMQPError as error:
            raise BrokerUnavailable(f"Cannot reach the broker: {type(error).__name__}.") from error


@asynccontextmanager
async def open_publisher(url: str, fresh_urls: FreshUrls = no_fresh_urls) -> AsyncIterator[RabbitPublisher]:
    """Open a publisher on a new connection, closed at the end of the block.

    `fresh_urls` are tried when the broker refuses the login of `url`. Raises BrokerUnavailable when the broker cannot
    be reached within CONNECT_DEADLINE_SECONDS or takes no login. The connection is not a "robust" one: after a freeze
    of the environment, or an outage, a new one is opened on purpose.
    """
    connection, publisher = await logged_in(_connected, url, fresh_urls)
    try:
        yield publisher
    finally:
        await close(connection)


async def _connected(url: str) -> tuple[aio_pika.Connection, RabbitPublisher]:
    connection = aio_pika.Connection(make_url(url, heartbeat=HEARTBEAT_SECONDS))
    publisher = RabbitPublisher(connection)
    try:
        await publisher.connect()
    except BaseException:
        await close(connection)
        raise
    return connection, publisher


def _refusals_of(batch: SentBatch) -> list[str | None]:
    if not batch.all_settled.done():
        batch.refuse_unsettled("not confirmed before the deadline")
    elif (error := batch.all_settled.exception()) is not None:
        batch.refuse_unsettled(f"{_CHANNEL_LOST}: {type(error).__name__}")
    return batch.refusals
