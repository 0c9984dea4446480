"""Run the rivals of the consumer on preloaded messages, one at a time or several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import aio_pika

from bench.rivals.order import event_body
from bench.rivals.processes import CELERY_PRELOAD, CELERY_WORKER, NAIVE_CONSUMER, Rival, rival
from local.servers import postgres

NAIVE_PAYMENTS = 400
CELERY_PAYMENTS = 1_200
NAIVE_QUEUE, CELERY_QUEUE = "payments.new", "celery"
POLL_SECONDS = 0.05
SETTLE_SECONDS_MAX = 60.0

_ACCEPT = """
    INSERT INTO payments (id, amount_minor, currency, status)
    SELECT gen_random_uuid(), 10050, 'RUB', 'pending' FROM generate_series(1, :payments) RETURNING id
"""
_OPEN = "SELECT count(*) FROM payments WHERE status NOT IN ('succeeded', 'failed')"
_LAST = """
    SELECT extract(epoch FROM max(p.updated_at))::float8, count(*), count(e)
    FROM payments p LEFT JOIN outbox e ON e.payment_id = p.id
    WHERE p.status = 'succeeded' AND extract(epoch FROM p.updated_at) > :started_at::float8
"""


@contextmanager
def naive_consumer(folder: Path, database_url: str, amqp_url: str, gateway_url: str) -> Iterator[Callable[[], float]]:
    """Yield a run of a consumer that takes one message at a time. A run returns payments per second."""
    with rival(folder, database_url, amqp_url, gateway_url) as contender:
        contender.start("consumer", *NAIVE_CONSUMER)
        contender.wait_for_consumer(NAIVE_QUEUE)
        contender.pause()
        yield lambda: _run(contender, NAIVE_PAYMENTS, lambda: asyncio.run(_publish_pending(contender)))


@contextmanager
def celery_worker(folder: Path, database_url: str, amqp_url: str, gateway_url: str) -> Iterator[Callable[[], float]]:
    """Yield a run of a Celery worker. A run returns payments per second."""
    with rival(folder, database_url, amqp_url, gateway_url) as contender:
        contender.start("worker", *CELERY_WORKER)
        contender.wait_for_consumer(CELERY_QUEUE)
        contender.pause()
        yield lambda: _run(contender, CELERY_PAYMENTS, lambda: contender.run(*CELERY_PRELOAD))


def _run(contender: Rival, payments: int, preload: Callable[[], object]) -> float:
    """Fill the queue of a paused worker, resume it, and return payments per second up to the last commit."""
    with closing(postgres.connect(contender.database_url)) as connection:
        connection.run(_ACCEPT, payments=payments)
        preload()
        started_at = time.time()
        contender.resume()
        while connection.run(_OPEN)[0][0]:
            if time.time() - started_at > SETTLE_SECONDS_MAX:
                raise RuntimeError(f"not all of {payments} payments were settled")
            time.sleep(POLL_SECONDS)
        contender.pause()
        ended_at, settled, events = connection.run(_LAST, started_at=started_at)[0]
    assert settled == events == payments, f"{settled} of {payments} payments were charged, with {events} events"
    return payments / (float(ended_at) - started_at)


async def _publish_pending(contender: Rival) -> None:
    with closing(postgres.connect(contender.database_url)) as connection:
        pending = connection.run("SELECT id FROM payments WHERE status = 'pending'")
    async with await aio_pika.connect(contender.amqp_url) as broker:
        exchange = (await broker.channel()).default_exchange
        for (payment_id,) in pending:
            body = event_body(payment_id, "payment.created", payment_id).encode()
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await exchange.publish(message, NAIVE_QUEUE)
