"""A relay killed at any point of its work: the next relay publishes every row, and none is marked unsent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.testkit.payments import new_merchant, new_payment
from local.testkit.queues import take_all
from local.testkit.servers import Postgres, Vhost, address_of
from paybridge.database.database import Database, Statement
from paybridge.outbox.relay import relay_once
from paybridge.rabbitmq.publisher import open_publisher
from tests.faults.relay_and_die import POINTS

pytestmark = [pytest.mark.integration, pytest.mark.faults, pytest.mark.broker]

REPOSITORY = Path(__file__).resolve().parents[2]
ROWS = 230
_MARKED = Statement("SELECT payment_id::text FROM outbox WHERE published_at IS NOT NULL")
_FREE = Statement("SELECT id FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED")
_EXCLUSIVE = Statement("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


@pytest.fixture
def database_url(postgres_server: Postgres) -> Iterator[str]:
    """An empty outbox for each test."""
    url = postgres_server.fresh_database()
    yield url
    postgres_server.drop_database(url)


def run_until_killed(database_url: str, amqp_url: str, point: str) -> int:
    command = [sys.executable, "-m", "tests.faults.relay_and_die", database_url, amqp_url, point]
    path = os.pathsep.join(["functions", "layers/paybridge", "."])
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "PYTHONPATH": path}, timeout=60).returncode


def until_all_unmarked_rows_are_free(database: Database, count: int) -> None:
    """The server notices a dead session a moment after its death."""
    deadline = time.monotonic() + 10
    while len(database.run(_FREE)) < count or database.run(_EXCLUSIVE) != [[0]]:
        assert time.monotonic() < deadline, "rows or locks of a dead relay are still held"
        time.sleep(0.01)


async def relay_the_rest(database: Database, amqp_url: str) -> None:
    async with open_publisher(amqp_url) as publisher:
        while (await relay_once(database, publisher, 100, lambda _: None)).claimed:
            pass


@pytest.mark.parametrize("point", list(POINTS))
async def test_it_loses_nothing(point: str, database_url: str, vhost: Vhost) -> None:
    with closing(Database(address_of(database_url))) as database:
        merchant_id = new_merchant(database)
        payments = {str(new_payment(database, merchant_id)) for _ in range(ROWS)}
        assert await asyncio.to_thread(run_until_killed, database_url, vhost.amqp_url, point) == -signal.SIGKILL

        marked = {row[0] for row in database.run(_MARKED)}
        assert (len(marked) == ROWS) == (point == "asleep")
        until_all_unmarked_rows_are_free(database, ROWS - len(marked))
        sent = [json.loads(one.body)["subject"] for one in await take_all(vhost.amqp_url, "payments.new")]
        assert marked <= set(sent)

        await relay_the_rest(database, vhost.amqp_url)
        assert len(database.run(_MARKED)) == ROWS
        sent += [json.loads(one.body)["subject"] for one in await take_all(vhost.amqp_url, "payments.new")]
        assert set(sent) == payments
        # What was on its way when it died is sent again: two batches at most.
        assert len(sent) <= ROWS + 2 * 20
