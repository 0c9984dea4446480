"""Looking into a queue from a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aio_pika


@dataclass(frozen=True, slots=True)
class Got:
    """A message taken from a queue."""

    message_id: str | None
    body: bytes
    headers: dict[str, Any]
    correlation_id: str | None
    content_type: str | None
    type: str | None


async def take_all(amqp_url: str, queue: str) -> list[Got]:
    """Takes and acknowledges every message that is ready in the queue."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        source = await channel.get_queue(queue, ensure=False)
        taken = []
        while (message := await source.get(fail=False)) is not None:
            await message.ack()
            taken.append(_got(message))
    return taken


async def put(amqp_url: str, queue: str, body: bytes, **properties: Any) -> None:
    """Publishes a message straight to a queue, with a confirm."""
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(body, delivery_mode=2, **properties), queue)


def _got(message: aio_pika.abc.AbstractIncomingMessage) -> Got:
    return Got(
        message.message_id,
        message.body,
        dict(message.headers),
        message.correlation_id,
        message.content_type,
        message.type,
    )
