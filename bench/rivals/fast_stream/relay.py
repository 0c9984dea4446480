"""`python -m bench.rivals.fast_stream.relay`: publish the outbox in gathered batches and mark each batch at once."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import uvloop
from faststream.rabbit import RabbitBroker

BATCH_ROWS = 500
IDLE_SECONDS = 0.05

_CLAIM = """
    SELECT id, queue, body FROM outbox WHERE published_at IS NULL AND queue <> ''
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""
_MARK = "UPDATE outbox SET published_at = now() WHERE id = ANY($1::uuid[])"


async def main() -> None:
    """Run until the process is stopped."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    async with RabbitBroker(os.environ["AMQP_URL"], logger=None) as broker:
        while True:
            if not await _relay_batch(connection, broker):
                await asyncio.sleep(IDLE_SECONDS)


async def _relay_batch(connection: asyncpg.Connection, broker: RabbitBroker) -> int:
    async with connection.transaction():
        rows = await connection.fetch(_CLAIM, BATCH_ROWS)
        if rows:
            await asyncio.gather(*(_publish(broker, row) for row in rows))
            await connection.execute(_MARK, [row["id"] for row in rows])
    return len(rows)


async def _publish(broker: RabbitBroker, row: asyncpg.Record) -> None:
    await broker.publish(
        row["body"].encode(),
        row["queue"],
        persist=True,
        content_type="application/json",
        message_id=str(row["id"]),
    )


if __name__ == "__main__":
    uvloop.run(main())
