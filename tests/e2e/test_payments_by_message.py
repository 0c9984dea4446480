"""Payments ordered by message, from the exchange to the verified webhook, and one key by both ways at once."""

from __future__ import annotations

import asyncio
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import aio_pika
import pytest

from local.stack.stack import Stack
from local.testkit import live
from local.testkit.live import Merchant
from local.testkit.payments import rows
from local.testkit.servers import address_of
from paybridge.database.database import Database
from paybridge.outbox.queues import INTAKE_QUEUE

pytestmark = [pytest.mark.e2e, pytest.mark.broker]

BY_KEY = "SELECT to_json(p) FROM payments p WHERE metadata ->> 'key' = :key::text"
DEAD = "SELECT to_json(d) FROM dead_letters d WHERE message_id = :message_id::text"


async def publish(stack: Stack, *bodies: bytes, **properties: Any) -> None:
    """Publish as a stranger does: to the exchange, by the key."""
    async with await aio_pika.connect(stack.urls.amqp) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("payments", ensure=False)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body, delivery_mode=2, **properties), INTAKE_QUEUE)


def order(key: str, **changes: Any) -> dict[str, Any]:
    """The message of the publisher script: amounts as floats, and no merchant."""
    members = {
        "type": "PaymentInitiated",
        "idempotency_key": key,
        "amount": 49.50,
        "currency": "EUR",
        "user_id": "user_456",
        "payment_method": "tok_success",
        "timestamp": "2026-11-29T12:00:00",
        "metadata": {"key": key},
    }
    return {**members, **changes}


def made(stack: Stack, key: str) -> list[dict[str, Any]]:
    with closing(Database(address_of(stack.urls.postgres))) as database:
        return rows(database, BY_KEY, key=key)


async def payment_of(stack: Stack, key: str) -> str:
    (found,) = await live.eventually_async(lambda: made(stack, key), f"the payment of {key}")
    payment_id: str = found["id"]
    return payment_id


async def test_a_message_becomes_a_payment_of_the_demo_merchant(stack: Stack, demo: Merchant) -> None:
    key = str(uuid.uuid4())
    await publish(stack, json.dumps(order(key, webhook_url=f"{stack.urls.sink}/ok/message")).encode())
    payment_id = await payment_of(stack, key)
    webhook = await asyncio.to_thread(live.webhook, stack.urls.sink, payment_id)
    assert webhook["verified"]
    view = demo.get(payment_id)
    assert (view["status"], view["amount"], view["customer"]) == ("succeeded", "49.50", "user_456")
    assert len(live.charges(stack.urls.gateway, payment_id)) == 1


@pytest.mark.parametrize(
    ("asked", "status", "attempts"),
    [("simulate_transient_failure", "succeeded", 3), ("simulate_permanent_failure", "failed", 1)],
)
async def test_a_message_may_ask_for_a_failure(
    stack: Stack, demo: Merchant, asked: str, status: str, attempts: int
) -> None:
    key = str(uuid.uuid4())
    body = order(key, payment_method=None, metadata={"key": key, asked: True})
    await publish(stack, json.dumps(body).encode())
    payment_id = await payment_of(stack, key)
    payment = await live.eventually_async(lambda: demo.settled(payment_id), "settled")
    assert payment["status"] == status
    started = [entry for entry in demo.timeline(payment_id) if entry["type"] == "gateway.attempt_started"]
    assert len(started) == attempts


async def test_the_same_key_by_both_ways_at_once_makes_one_payment(stack: Stack, demo: Merchant) -> None:
    keys = [str(uuid.uuid4()) for _ in range(30)]

    def post(key: str) -> str:
        members = {name: order(key)[name] for name in ("currency", "payment_method", "metadata")}
        answer = demo.post(key, {**members, "amount": "49.50", "customer": "user_456"})
        assert answer.status_code == 202, answer.text
        payment_id: str = answer.json()["payment_id"]
        return payment_id

    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(post, key) for key in keys]
        await publish(stack, *(json.dumps(order(key)).encode() for key in keys for _ in range(2)))
        answered = [one.result() for one in posts]
    last = str(uuid.uuid4())
    await publish(stack, json.dumps(order(last)).encode())
    await payment_of(stack, last)
    assert [[row["id"] for row in made(stack, key)] for key in keys] == [[payment_id] for payment_id in answered]


async def test_what_is_no_order_is_a_dead_letter_with_a_reason(stack: Stack, demo: Merchant) -> None:
    key, message_id = str(uuid.uuid4()), str(uuid.uuid4())
    await publish(stack, json.dumps(order(key)).encode())
    await payment_of(stack, key)
    await publish(stack, json.dumps(order(key, amount=1)).encode(), message_id=message_id)

    def letters() -> list[dict[str, Any]]:
        with closing(Database(address_of(stack.urls.postgres))) as database:
            return rows(database, DEAD, message_id=message_id)

    (letter,) = await live.eventually_async(letters, "the dead letter")
    assert letter["queue"] == INTAKE_QUEUE
    assert letter["reason"].startswith("idempotency_key_reused")
    assert len(made(stack, key)) == 1
