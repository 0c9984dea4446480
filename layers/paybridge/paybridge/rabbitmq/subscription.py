"""Take messages from queues batch by batch, as a long-running worker does.

All queues of a subscription share a channel and its sequence of delivery tags. One acknowledgement of the last tag
therefore covers a batch, whatever queues it comes from.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiormq
import aiormq.abc
from aio_pika.connection import make_url
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from paybridge.core.errors import BrokerUnavailable
from paybridge.rabbitmq.connecting import HEARTBEAT_SECONDS, answered, close, handshake
from paybridge.rabbitmq.fast.deliveries import BrokerDelivery, DeliveriesFirst
from paybridge.rabbitmq.fast.properties import read_properties
from paybridge.rabbitmq.logins import FreshUrls, logged_in, no_fresh_urls


@dataclass(frozen=True, slots=True)
class TakenMessage:
    """A message that the broker has delivered and that is not acknowledged yet."""

    tag: int
    queue: str
    message_id: str
    body: bytes
    # As `read_properties` returns them.
    properties: Mapping[str, Any] = field(default_factory=dict)
    redelivered: bool = False


class Subscription:
    """The consumers of some queues on one channel; made by `subscribe`.

    Every method raises BrokerUnavailable once the connection or the channel is lost. Messages that are unacknowledged
    by then return to their queues.
    """

    def __init__(self) -> None:
        self._channel: aiormq.abc.AbstractChannel
        self._queues: Sequence[str] = ()
        self._inbox: deque[TakenMessage] = deque()
        self._changed = asyncio.Event()
        self._is_ending = False
        self._is_lost = False

    async def open(self, channel: aiormq.abc.AbstractChannel, queues: Sequence[str], prefetch: int) -> None:
        """Start taking messages, at most `prefetch` of each queue before their acknowledgement."""
        self._channel, self._queues = channel, queues
        channel.closing.add_done_callback(self._lost)
        channel.on_consumer_cancel_callbacks.add(self._lost)
        await answered(channel.basic_qos(prefetch_count=prefetch))
        for queue in queues:
            try:
                # The consumer's tag comes with each delivery: a queue's name tells where it came from.
                await answered(channel.basic_consume(queue, _never_called, consumer_tag=queue))
            except ChannelNotFoundEntity as error:
                raise BrokerUnavailable(f"There is no queue {queue} on the broker.") from error

    def take(self, delivery: BrokerDelivery) -> None:
        """Accept a message that the broker delivers."""
        properties = read_properties(delivery.properties)
        message_id = properties["messageId"] or ""
        self._inbox.append(
            TakenMessage(
                delivery.tag, delivery.consumer_tag, message_id, delivery.body, properties, delivery.redelivered
            )
        )
        self._changed.set()

    async def batch(self, size_max: int) -> list[TakenMessage]:
        """Return what has arrived: one message on a quiet queue, up to `size_max` on a busy one.

        Wait for the first message. Empty once the subscription has ended and everything was taken.
        """
        while not self._inbox and not self._is_ending:
            self._changed.clear()
            self._ensure_open()
            await self._changed.wait()
        self._ensure_open()
        return [self._inbox.popleft() for _ in range(min(size_max, len(self._inbox)))]

    async def end(self) -> None:
        """Stop taking messages. Work on those that have arrived: returning them would count as a delivery."""
        for queue in self._queues:
            await self._sent(self._channel.basic_cancel(queue))
        self._is_ending = True
        self._changed.set()

    async def acknowledge(self, last: TakenMessage) -> None:
        """Acknowledge this message and all before it."""
        await self._sent(self._channel.basic_ack(last.tag, multiple=True))

    async def acknowledge_one(self, taken: TakenMessage) -> None:
        """Acknowledge this message alone."""
        await self._sent(self._channel.basic_ack(taken.tag))

    async def give_back(self, last: TakenMessage) -> None:
        """Return this message, all unacknowledged ones before it, and those not yet asked for, to their queues.

        A nack does not count toward the delivery limit since RabbitMQ 4.3: the messages are not to blame. The
        subscription ends, because the broker would redeliver the same messages at once.
        """
        await self.end()
        last = self._inbox[-1] if self._inbox else last
        self._inbox.clear()
        await self._sent(self._channel.basic_nack(last.tag, multiple=True, requeue=True))

    async def refuse(self, taken: TakenMessage) -> None:
        """Return a message that is to blame: a reject counts toward the delivery limit on every RabbitMQ."""
        await self._sent(self._channel.basic_reject(taken.tag, requeue=True))

    def _lost(self, *_: Any) -> None:
        self._is_lost = True
        self._changed.set()

    def _ensure_open(self) -> None:
        if self._is_lost:
            raise BrokerUnavailable("The connection to the broker was lost.")

    async def _sent(self, step: Awaitable[Any]) -> None:
        try:
            await answered(step)
        except AMQPError as error:
            raise BrokerUnavailable("The connection to the broker was lost.") from error


@asynccontextmanager
async def subscribe(
    url: str, queues: Sequence[str], prefetch: int, fresh_urls: FreshUrls = no_fresh_urls
) -> AsyncIterator[Subscription]:
    """Subscribe to the queues on a new connection, closed at the end of the block.

    `fresh_urls` are tried when the broker refuses the login of `url`. Raises BrokerUnavailable when the broker cannot
    be reached, takes no login or lacks a queue.
    """
    connection, subscription = await logged_in(
        lambda login_url: _subscribed(login_url, queues, prefetch), url, fresh_urls
    )
    try:
        yield subscription
    finally:
        await close(connection)


async def _subscribed(
    url: str, queues: Sequence[str], prefetch: int
) -> tuple[aiormq.abc.AbstractConnection, Subscription]:
    subscription = Subscription()
    connection = aiormq.Connection(
        make_url(url, heartbeat=HEARTBEAT_SECONDS), transport_factory=DeliveriesFirst(subscription.take)
    )
    place = f"{connection.url.host}:{connection.url.port}"
    try:
        await handshake(connection.connect(), place)
        await subscription.open(await answered(connection.channel(publisher_confirms=False)), queues, prefetch)
    except BaseException as error:
        await close(connection)
        if isinstance(error, AMQPError):
            raise BrokerUnavailable(f"Cannot reach the broker at {place}: {type(error).__name__}.") from error
        raise
    return connection, subscription


async def _never_called(message: aiormq.abc.DeliveredMessage) -> None:
    """Stand in for the callback that aiormq wants: deliveries go to `Subscription.take` instead."""
    raise AssertionError(message)
