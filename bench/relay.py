"""Relay rows from the outbox to a quorum queue, from the claim to the commit of `published_at`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
import uvloop

from bench.results import Figure, Goal, Measure, interleaved, ratio
from bench.rivals import perf_test
from bench.rivals.gather import relay_by_gather
from bench.rivals.one_by_one import relay_one_by_one
from bench.servers import Servers, open_database
from local.servers import postgres
from paybridge import wiring
from paybridge.database.database import Database
from paybridge.outbox.relay import Refusal, relay_once
from paybridge.outbox.two_lanes import relay_in_two_lanes
from paybridge.rabbitmq.publisher import open_publisher

ROWS = 20_000
# One by one has a tenth of the others' rate, which does not depend on the number of rows.
ROWS_ONE_BY_ONE = 2_000
BATCH_ROWS = 500
BODY_BYTES = 900
GOAL_TIMES_GATHER = 2.4
GOAL_TIMES_PERF_TEST = 0.3
EXCHANGE, QUEUE = "payments", "payments.new"
OURS, GATHER, ONE_BY_ONE, PERF_TEST = "relay", "aio-pika gather", "one by one", "PerfTest, no database"
PUBLISH_ALL_SECONDS_MAX = 60.0

_FILL = f"""
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id)
    SELECT (moment || '70008' || number)::uuid, (moment || '70009' || number)::uuid, gen_random_uuid(), 1,
           'payment.created', '{EXCHANGE}', '{QUEUE}', repeat('x', {BODY_BYTES}), gen_random_uuid()::text
    FROM (
        SELECT lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') AS moment,
               lpad(to_hex(n), 15, '0') AS number
        FROM generate_series(1, :rows) AS n
    ) AS new
"""  # noqa: S608 -- only constants of this file.

Relay = Callable[[Database, str], Awaitable[None]]
Loop = Callable[[Coroutine[Any, Any, float]], float]
_Result = TypeVar("_Result")


def measure(servers: Servers) -> Measure:
    """Let every contender relay the same outbox to an empty queue."""
    url, amqp_url = servers.postgres.fresh_database(), servers.broker.fresh_vhost().amqp_url

    def run(loop: Loop, relay: Relay, rows: int) -> float:
        with open_database(url) as database:
            return loop(_rate(database, url, amqp_url, relay, rows))

    contenders = {
        # On the function's event loop.
        OURS: lambda: run(wiring.run, relay_ours, ROWS),
        GATHER: lambda: run(_run, relay_by_gather, ROWS),
        ONE_BY_ONE: lambda: run(_run, relay_one_by_one, ROWS_ONE_BY_ONE),
    }
    jars = perf_test.fetch(servers.broker.settings.cache_dir, servers.say)
    if isinstance(jars, Path):
        publish = perf_test.publisher(jars, amqp_url, EXCHANGE, QUEUE, BODY_BYTES)
        contenders[PERF_TEST] = lambda: _emptied_after(publish, amqp_url)
    values = interleaved(servers.say, contenders, "rows/s")
    servers.postgres.drop_database(url)
    return Measure("relay", _figures(values), [jars] if isinstance(jars, str) else [])


def _figures(values: dict[str, tuple[float, ...]]) -> list[Figure]:
    figures = [Figure(name, "rows/s", rates, is_rival=name != OURS) for name, rates in values.items()]
    goals = {GATHER: Goal(GOAL_TIMES_GATHER), PERF_TEST: Goal(GOAL_TIMES_PERF_TEST)}
    figures += [
        ratio(f"ratio to {name}", values[OURS], values[name], goal) for name, goal in goals.items() if name in values
    ]
    return figures


def _emptied_after(publish: Callable[[], float], amqp_url: str) -> float:
    rate = publish()
    assert _run(empty_queue(amqp_url)) > 0, "PerfTest published to another queue"
    return rate


async def _rate(database: Database, url: str, amqp_url: str, relay: Relay, rows: int) -> float:
    _fill(url, rows)
    async with asyncio.timeout(PUBLISH_ALL_SECONDS_MAX):
        started = time.perf_counter()
        await relay(database, amqp_url)
        seconds = time.perf_counter() - started
    arrived = await empty_queue(amqp_url)
    assert arrived == rows, f"{arrived} of {rows} messages arrived"
    return rows / seconds


def _fill(url: str, rows: int) -> None:
    with closing(postgres.connect(url)) as connection:
        connection.run("TRUNCATE outbox")
        connection.run(_FILL, rows=rows)
        connection.run("VACUUM ANALYZE outbox")


async def empty_queue(amqp_url: str) -> int:
    """Purge the queue and return how many messages it had."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(QUEUE, ensure=False)
        return (await queue.purge()).message_count or 0


async def relay_ours(database: Database, amqp_url: str) -> None:
    """Publish all due rows of the outbox."""
    async with open_publisher(amqp_url) as publisher:

        async def relay_full(lane: Database) -> bool:
            return (await relay_once(lane, publisher, BATCH_ROWS, refuse)).claimed == BATCH_ROWS

        with closing(database.another()) as second:
            await relay_in_two_lanes((database, second), relay_full)


def refuse(refusal: Refusal) -> None:
    """Fail: a healthy broker refuses no row."""
    raise AssertionError(f"the broker refused a row: {refusal.reason}")


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a rival's work on uvloop, the fastest event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
