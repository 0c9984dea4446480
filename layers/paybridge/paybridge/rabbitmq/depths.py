"""Count the messages that wait in queues, by AMQP alone.

A passive declaration changes nothing and answers with the number. It takes no right on the queue; since RabbitMQ 4.3 it
takes any, be it to write. The management API would need a user with a tag, and Amazon MQ's own metrics know no queues
since RabbitMQ 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import aiormq
from aio_pika.connection import make_url
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from paybridge.core.errors import BrokerUnavailable
from paybridge.rabbitmq.connecting import HEARTBEAT_SECONDS, answered, close, handshake
from paybridge.rabbitmq.logins import FreshUrls, logged_in, no_fresh_urls


class AmqpQueueDepths:
    """A `QueueDepths` that connects for each reading; `fresh_urls` are for when the login of `url` is refused."""

    def __init__(self, url: str, fresh_urls: FreshUrls = no_fresh_urls) -> None:
        self._url = url
        self._fresh_urls = fresh_urls

    async def read(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each queue; see `paybridge.payments.ports.QueueDepths`."""
        connection = await logged_in(_connected, self._url, self._fresh_urls)
        try:
            depths = {queue: await _depth(connection, queue) for queue in queues}
        except AMQPError as error:
            raise BrokerUnavailable(f"Cannot ask the broker about its queues: {type(error).__name__}.") from error
        finally:
            await close(connection)
        return {queue: depth for queue, depth in depths.items() if depth is not None}


async def _connected(url: str) -> aiormq.Connection:
    connection = aiormq.Connection(make_url(url, heartbeat=HEARTBEAT_SECONDS))
    try:
        await handshake(connection.connect(), f"{connection.url.host}:{connection.url.port}")
    except BaseException:
        await close(connection)
        raise
    return connection


async def _depth(connection: aiormq.Connection, queue: str) -> int | None:
    # A channel for each queue, because the broker closes it if the queue is missing.
    channel = await answered(connection.channel(publisher_confirms=False))
    try:
        declared = await answered(channel.queue_declare(queue, passive=True))
    except ChannelNotFoundEntity:
        return None
    await answered(channel.close())
    return declared.message_count
