"""An outbox relay as most are first written: claim a row, publish it, await the confirm, mark it, commit."""

from __future__ import annotations

import aio_pika

from paybridge.database.database import Database, Statement

_NEXT = Statement("""
    SELECT id::text, exchange, routing_key, body, correlation_id FROM outbox
    WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
    ORDER BY available_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_MARK = Statement("UPDATE outbox SET published_at = clock_timestamp() WHERE id = :id::uuid")


async def relay_one_by_one(database: Database, amqp_url: str) -> None:
    """Relay the whole outbox."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("payments", ensure=False)
        while True:
            with database.transaction() as transaction:
                rows = transaction.run(_NEXT)
                if not rows:
                    return
                id_, _, routing_key, body, correlation_id = rows[0]
                message = aio_pika.Message(
                    body.encode(), delivery_mode=2, message_id=id_, correlation_id=correlation_id
                )
                await exchange.publish(message, routing_key)
                transaction.run(_MARK, id=id_)
