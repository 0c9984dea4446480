"""`python -m bench.rivals.fast_stream.worker`: charge payments and send webhooks, many messages at a time."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import uvloop
from faststream import AckPolicy, ContextRepo, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from bench.rivals.order import event_body
from bench.rivals.webhooks import signed

# Messages in flight at the same time, and the connections they share.
PREFETCH = 100
CONNECTIONS_MAX = 16

broker = RabbitBroker(os.environ["AMQP_URL"], default_channel=Channel(prefetch_count=PREFETCH), logger=None)
_open: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(_: ContextRepo) -> AsyncIterator[None]:
    """Keep the pools open while the worker runs."""
    async with (
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=CONNECTIONS_MAX) as pool,
        aiohttp.ClientSession() as http,
    ):
        _open.update(pool=pool, http=http)
        yield


app = FastStream(broker, lifespan=lifespan)


@broker.subscriber(RabbitQueue("payments.new", queue_type=QueueType.QUORUM), ack_policy=AckPolicy.NACK_ON_ERROR)
async def charge(event: dict[str, Any]) -> None:
    """Charge a payment. Commit the attempt before the call of the gateway, and the outcome with its event after it."""
    payment_id, attempt_id = uuid.UUID(event["data"]["payment_id"]), uuid.uuid4()
    async with _open["pool"].acquire() as connection, connection.transaction():
        payment = await connection.fetchrow(
            "UPDATE payments SET status = 'processing' WHERE id = $1 AND status IN ('pending', 'processing')"
            " RETURNING amount_minor, currency, webhook_url",
            payment_id,
        )
        if payment is None:
            return
        await connection.execute(
            "INSERT INTO attempts (id, payment_id, status) VALUES ($1, $2, 'started')", attempt_id, payment_id
        )
    status, gateway_id = await _call_gateway(payment_id, payment["amount_minor"], payment["currency"])
    event_id, type_ = uuid.uuid4(), f"payment.{status}"
    body = event_body(event_id, type_, payment_id, webhook_url=payment["webhook_url"])
    async with _open["pool"].acquire() as connection, connection.transaction():
        await connection.execute(
            "UPDATE attempts SET status = $1, gateway_id = $2, finished_at = clock_timestamp() WHERE id = $3",
            *(status, gateway_id, attempt_id),
        )
        await connection.execute(
            "UPDATE payments SET status = $1, gateway_id = $2, updated_at = clock_timestamp() WHERE id = $3",
            *(status, gateway_id, payment_id),
        )
        await connection.execute(
            "INSERT INTO outbox (id, payment_id, type, queue, body) VALUES ($1, $2, $3, 'webhooks', $4)",
            *(event_id, payment_id, type_, body),
        )


@broker.subscriber(RabbitQueue("webhooks", queue_type=QueueType.QUORUM), ack_policy=AckPolicy.NACK_ON_ERROR)
async def send_webhook(event: dict[str, Any]) -> None:
    """Send a webhook and record its delivery."""
    url = event["data"]["webhook_url"]
    if url is None:
        return
    body, headers = signed(event)
    async with _open["http"].post(url, data=body, headers=headers) as answer:
        answer.raise_for_status()
    await _open["pool"].execute(
        "INSERT INTO deliveries (id, payment_id, url) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        *(uuid.UUID(event["id"]), uuid.UUID(event["data"]["payment_id"]), url),
    )


async def _call_gateway(payment_id: uuid.UUID, amount_minor: int, currency: str) -> tuple[str, str]:
    charge = {"reference": str(payment_id), "amount_minor": amount_minor, "currency": currency}
    key = {"Idempotency-Key": f"{payment_id}:charge"}
    async with _open["http"].post(os.environ["GATEWAY_URL"] + "/charges", json=charge, headers=key) as answer:
        return ("succeeded" if answer.status == 201 else "failed"), (await answer.json())["id"]


if __name__ == "__main__":
    uvloop.run(app.run())
