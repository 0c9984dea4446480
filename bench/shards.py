"""Run 1, 2 and 4 processes of `paybridge worker consumer` on one queue, and one process for each shard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from bench.results import Figure, Measure, interleaved
from bench.servers import Servers, open_database
from local.testkit.local_servers import running_gateway
from local.testkit.payments import new_merchant, new_payment
from local.testkit.workers import Workers, secrets_manager, worker_environment
from paybridge.database.database import Database, Statement
from paybridge.outbox.queues import payment_queues
from paybridge.outbox.relay import relay_once
from paybridge.rabbitmq.publisher import open_publisher

PAYMENTS = 3_000
NUMBERS = (1, 2, 4)
GATEWAY_SECONDS = "0.05"
ROUNDS = 2
SETTLE_SECONDS_MAX = 60.0

# The database's own timestamps leave out the start of the processes.
_DONE = Statement("""
    SELECT count(*), extract(epoch FROM max(finished_at) - min(started_at))::float
    FROM operations WHERE status IN ('succeeded', 'declined')
""")


def measure(servers: Servers) -> Measure:
    """Measure payments per second from the first attempt to the last outcome. A charge takes 50 ms."""
    slow = {"GATEWAY_LATENCY_SECONDS_MIN": GATEWAY_SECONDS, "GATEWAY_LATENCY_SECONDS_MAX": GATEWAY_SECONDS}
    with running_gateway(servers.folder / "shards-charges.jsonl", **slow) as gateway_url:
        run = partial(_run, servers, gateway_url)
        contenders = {f"one queue, processes: {number}": partial(run, 1, number) for number in NUMBERS}
        contenders |= {f"a process each, shards: {number}": partial(run, number, 1) for number in NUMBERS[1:]}
        values = interleaved(servers.say, contenders, "payments/s", ROUNDS)
    return Measure("shards", [Figure(name, "payments/s", found) for name, found in values.items()])


def _run(servers: Servers, gateway_url: str, shards: int, processes: int) -> float:
    """Run a round: fill the queues, then start the workers."""
    url, vhost = servers.postgres.fresh_database(), servers.broker.fresh_vhost(payment_shards=shards)
    with open_database(url) as database, secrets_manager(url, vhost.amqp_url) as aws_url:
        _fill(database, vhost.amqp_url)
        environment = worker_environment(url, vhost, gateway_url, aws_url) | {"PAYMENT_SHARDS": str(shards)}
        folder = servers.folder / vhost.name
        folder.mkdir()
        with _ended(Workers(environment, folder)) as workers:
            for queue in payment_queues(shards)[-shards:] * processes:
                workers.start("consumer", "--queue", queue)
            rate = PAYMENTS / _wait(database)
    servers.postgres.drop_database(url)
    return rate


def _fill(database: Database, amqp_url: str) -> None:
    merchant_id = new_merchant(database)
    for _ in range(PAYMENTS):
        new_payment(database, merchant_id, payment_method=None)

    async def publish() -> None:
        async with open_publisher(amqp_url) as publisher:
            while (await relay_once(database, publisher, 500, refused.append)).claimed:
                pass

    refused: list[object] = []
    asyncio.run(publish())
    assert not refused, refused[0]


def _wait(database: Database) -> float:
    """Wait until all payments are settled. Return the seconds from the first attempt to the last outcome."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        ((count, seconds),) = database.run(_DONE)
        if count >= PAYMENTS:
            assert count == PAYMENTS, f"{count} attempts for {PAYMENTS} payments"
            return float(seconds)
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {count} of {PAYMENTS} payments were settled")
        time.sleep(0.1)


@contextmanager
def _ended(workers: Workers) -> Iterator[Workers]:
    try:
        yield workers
        assert [worker.stop() for worker in workers.started] == [0] * len(workers.started)
    finally:
        workers.end()
