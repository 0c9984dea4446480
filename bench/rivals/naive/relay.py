"""`python -m bench.rivals.naive.relay`: publish a row of the outbox, await the confirm, mark the row, commit."""

from __future__ import annotations

import asyncio
import os

import aio_pika
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bench.rivals.naive.database import engine_of
from bench.rivals.tables import Event

IDLE_SECONDS = 0.05
_NEXT = select(Event).where(Event.published_at.is_(None)).order_by(Event.created_at).limit(1)


async def main() -> None:
    """Run until the process is stopped."""
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    exchange = (await connection.channel(publisher_confirms=True)).default_exchange
    with Session(engine_of()) as session:
        while True:
            if not await _relay_one(session, exchange):
                await asyncio.sleep(IDLE_SECONDS)


async def _relay_one(session: Session, exchange: aio_pika.abc.AbstractExchange) -> bool:
    with session.begin():
        event = session.scalars(_NEXT.with_for_update(skip_locked=True)).first()
        if event is None:
            return False
        message = aio_pika.Message(
            event.body.encode(), message_id=str(event.id), delivery_mode=aio_pika.DeliveryMode.PERSISTENT
        )
        await exchange.publish(message, event.queue)
        event.published_at = func.now()
        return True


if __name__ == "__main__":
    asyncio.run(main())
