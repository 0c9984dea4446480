"""Rows from the outbox to a quorum queue, from the claim to `published_at` committed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import aio_pika

from bench.results import Figure, Goal, Measure, interleaved
from bench.rivals.gather import relay_by_gather
from bench.rivals.one_by_one import relay_one_by_one
from bench.servers import Servers, open_database
from local.servers import postgres
from paybridge.adapters.rabbitmq.publisher import open_publisher
from paybridge.store.database import Database
from paybridge.usecases.events.relay import Refusal, relay_once

ROWS = 20_000
# One by one is a tenth of the others' speed, and its rate does not depend on how many there are.
ROWS_ONE_BY_ONE = 2_000
BATCH_ROWS = 500
BODY_BYTES = 900
GOAL_ROWS_PER_SECOND = 8_000.0
QUEUE = "payments.new"
PUBLISH_ALL_SECONDS_MAX = 60.0

_FILL = f"""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id)
    SELECT (moment || '70008' || number)::uuid, (moment || '70009' || number)::uuid, gen_random_uuid(), 1,
           'payment.created', 'payments', '{QUEUE}', repeat('x', {BODY_BYTES}), gen_random_uuid()::text
    FROM (
        SELECT lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') AS moment,
               lpad(to_hex(n), 15, '0') AS number
        FROM generate_series(1, :rows) AS n
    ) AS new
"""  # noqa: S608 -- nothing but constants of this file.

Relay = Callable[[Database, str], Awaitable[None]]


def measure(servers: Servers) -> Measure:
    """Every contender has the same outbox before it and an empty queue, and takes `ROWS` rows from one to the other."""
    url, amqp_url = servers.postgres.fresh_database(), servers.broker.fresh_vhost().amqp_url

    def run(relay: Relay, rows: int) -> float:
        with open_database(url) as database:
            return asyncio.run(_rate(database, url, amqp_url, relay, rows))

    values = interleaved(
        servers.say,
        {
            "relay": lambda: run(_relay_ours, ROWS),
            "aio-pika gather": lambda: run(relay_by_gather, ROWS),
            "one by one": lambda: run(relay_one_by_one, ROWS_ONE_BY_ONE),
        },
        "rows/s",
    )
    servers.postgres.drop_database(url)
    goals = {"relay": Goal(GOAL_ROWS_PER_SECOND)}
    return Measure("relay", [Figure(n, "rows/s", v, goals.get(n), is_rival=n not in goals) for n, v in values.items()])


async def _rate(database: Database, url: str, amqp_url: str, relay: Relay, rows: int) -> float:
    _fill(url, rows)
    async with asyncio.timeout(PUBLISH_ALL_SECONDS_MAX):
        started = time.perf_counter()
        await relay(database, amqp_url)
        seconds = time.perf_counter() - started
    arrived = await _purge(amqp_url)
    assert arrived == rows, f"{arrived} of {rows} messages arrived"
    return rows / seconds


def _fill(url: str, rows: int) -> None:
    with closing(postgres.connect(url)) as connection:
        connection.run("TRUNCATE outbox")
        connection.run(_FILL, rows=rows)
        connection.run("VACUUM ANALYZE outbox")


async def _purge(amqp_url: str) -> int:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE, ensure=False)
        return (await queue.purge()).message_count or 0


async def _relay_ours(database: Database, amqp_url: str) -> None:
    async with open_publisher(amqp_url) as publisher:
        while (await relay_once(database, publisher, BATCH_ROWS, _refuse)).claimed:
            pass


def _refuse(refusal: Refusal) -> None:
    raise AssertionError(f"the broker refused a row: {refusal.reason}")
