"""`python -m bench.rivals.naive.webhooks`: send one webhook at a time and record its delivery."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from typing import Any

import aio_pika
import aiohttp
from sqlalchemy.orm import Session

from bench.rivals.naive.database import engine_of
from bench.rivals.tables import Delivery
from bench.rivals.webhooks import signed

PREFETCH = 50


async def main() -> None:
    """Run until the process is stopped."""
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue("webhooks", ensure=False)
    engine = engine_of()
    async with aiohttp.ClientSession() as http, queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                with Session(engine) as session:
                    await _deliver(session, http, json.loads(message.body))


async def _deliver(session: Session, http: aiohttp.ClientSession, event: dict[str, Any]) -> None:
    event_id, url = uuid.UUID(event["id"]), event["data"]["webhook_url"]
    if url is None or session.get(Delivery, event_id) is not None:
        return
    body, headers = signed(event)
    async with http.post(url, data=body, headers=headers) as answer:
        answer.raise_for_status()
    session.add(Delivery(id=event_id, payment_id=uuid.UUID(event["data"]["payment_id"]), url=url))
    session.commit()


if __name__ == "__main__":
    asyncio.run(main())
