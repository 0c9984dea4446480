"""`paybridge worker intake`: every message is one payment, whenever the worker is killed."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import closing
from typing import Any

import aio_pika
import pytest

from local.servers.postgres import connect
from local.testkit.live import eventually
from local.testkit.queues import take_all
from local.testkit.workers import Workers
from paybridge.database.database import Statement
from paybridge.outbox.queues import INTAKE_QUEUE
from tests.worker.conftest import Place

pytestmark = [pytest.mark.integration, pytest.mark.broker]

MESSAGES = 4_000
# Eight seconds in all, so that each worker is killed while there are messages left.
SLOW_PAYMENTS = """
    CREATE FUNCTION take_a_moment() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END $$;
    CREATE TRIGGER take_a_moment BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION take_a_moment()
"""
COUNT = Statement("SELECT count(*)::integer, count(DISTINCT metadata ->> 'key')::integer FROM payments")


def order(place: Place, bodies: list[bytes], **properties: Any) -> None:
    """Publish messages as a merchant's system does: to the exchange, by its key."""

    async def publish() -> None:
        async with await aio_pika.connect(place.vhost.amqp_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("payments", ensure=False)
            sent = [
                exchange.publish(aio_pika.Message(body, delivery_mode=2, **properties), INTAKE_QUEUE) for body in bodies
            ]
            await asyncio.gather(*sent)

    asyncio.run(publish())


def message(place: Place, key: str) -> bytes:
    return json.dumps(
        {
            "idempotency_key": key,
            "amount": 1.5,
            "currency": "EUR",
            "user_id": "user_123",
            "merchant_id": str(place.merchant_id),
            "metadata": {"key": key},
        }
    ).encode()


def counted(place: Place) -> tuple[int, int]:
    """Count payments, and the keys that made them."""
    payments, keys = place.database.run(COUNT)[0]
    return payments, keys


@pytest.mark.timeout(300)
def test_each_message_makes_one_payment_although_workers_are_killed(place: Place, workers: Workers) -> None:
    with closing(connect(place.database_url)) as connection:
        connection.run(SLOW_PAYMENTS)
    order(place, [message(place, f"k-{number}") for number in range(MESSAGES)])
    done = 0
    for _ in range(3):
        worker = workers.start("intake")
        eventually(lambda done=done: counted(place)[0] > done, "a batch is committed", 60)  # type: ignore[misc]
        worker.process.kill()
        worker.process.wait()
        done, _ = counted(place)
    assert 0 < done < MESSAGES, "no worker was killed with messages left"
    last = workers.start("intake")
    eventually(lambda: counted(place)[0] >= MESSAGES, "all accepted", 90)
    assert counted(place) == (MESSAGES, MESSAGES)
    eventually(lambda: len(last.logged("took payments by message")) > 0, "the log")
    assert last.stop() == 0
    assert asyncio.run(take_all(place.vhost.amqp_url, INTAKE_QUEUE)) == []
    assert asyncio.run(take_all(place.vhost.amqp_url, "payments.dead")) == []


def test_a_worker_inflates_and_dead_letters_what_is_no_order(place: Place, workers: Workers) -> None:
    workers.start("intake")
    order(place, [gzip.compress(message(place, "zipped"))], content_encoding="gzip", correlation_id="mine")
    order(place, [b"\xff" * (5 * 1024 * 1024), b'{"amount": NaN}'])
    eventually(lambda: counted(place) == (1, 1), "the payment")

    def dead() -> list[str]:
        letters.extend(asyncio.run(take_all(place.vhost.amqp_url, "payments.dead")))
        return sorted(letter.headers["x-paybridge-reason"].partition(":")[0] for letter in letters)

    letters: list[Any] = []
    eventually(lambda: dead() == ["body_too_large", "json_invalid"], "the dead letters")
