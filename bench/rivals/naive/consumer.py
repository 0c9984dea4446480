"""`python -m bench.rivals.naive.consumer`: one message at a time, one session and one gateway call for each.

The outcome is committed together with the event of its webhook.
"""

from __future__ import annotations

import asyncio
import json
import os
import uuid

import aio_pika
import aiohttp
from sqlalchemy import func
from sqlalchemy.orm import Session

from bench.rivals.naive.database import engine_of
from bench.rivals.order import event_body
from bench.rivals.tables import Event, Payment

PREFETCH = 50


async def main() -> None:
    """Run until the process is stopped."""
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue("payments.new", ensure=False)
    engine = engine_of()
    async with aiohttp.ClientSession(os.environ["GATEWAY_URL"]) as gateway, queue.iterator() as messages:
        async for message in messages:
            async with message.process():
                with Session(engine) as session:
                    await _process(session, gateway, uuid.UUID(json.loads(message.body)["data"]["payment_id"]))


async def _process(session: Session, gateway: aiohttp.ClientSession, payment_id: uuid.UUID) -> None:
    payment = session.get_one(Payment, payment_id)
    if payment.status != "pending":
        return
    charge = {"reference": str(payment_id), "amount_minor": payment.amount_minor, "currency": payment.currency}
    async with gateway.post("/charges", json=charge, headers={"Idempotency-Key": f"{payment_id}:charge"}) as answer:
        payment.status = "succeeded" if answer.status == 201 else "failed"
        payment.gateway_id = (await answer.json())["id"]
    payment.updated_at = func.clock_timestamp()
    event_id, type_ = uuid.uuid4(), f"payment.{payment.status}"
    body = event_body(event_id, type_, payment_id, webhook_url=payment.webhook_url)
    session.add(Event(id=event_id, payment_id=payment_id, type=type_, queue="webhooks", body=body))
    session.commit()


if __name__ == "__main__":
    asyncio.run(main())
