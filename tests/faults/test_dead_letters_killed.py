"""A process that records dead letters is killed at each step: the next one records every message, once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from local.testkit.live import eventually_async
from local.testkit.queues import put, take_all
from local.testkit.servers import Vhost, address_of
from paybridge import wiring
from paybridge.database.database import Database, Statement
from paybridge.runners import dead_letters
from paybridge.wiring import broker
from paybridge.worker.queues import QueueWork, work_queues
from tests.faults.record_and_die import STEPS
from tests.support.dead_letters import rows

pytestmark = [pytest.mark.integration, pytest.mark.faults]

REPOSITORY = Path(__file__).resolve().parents[2]
MESSAGES = 30


@pytest.mark.parametrize("step", STEPS)
async def test_nothing_is_lost_and_nothing_counts_twice(
    step: str, database_url: str, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [f"{step} {number}".encode() for number in range(MESSAGES)]
    for body in bodies:
        await put(vhost.amqp_url, "payments.dead", body, headers={"x-paybridge-reason": step})
    killed = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.faults.record_and_die", database_url, vhost.amqp_url, step],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["functions", "layers/paybridge", "."])},
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL
    with closing(Database(address_of(database_url))) as database, closing(database.another()) as reader:
        database.run(Statement("SELECT"))
        assert bool(rows(reader)) == (step == "committed")
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(broker, "rabbitmq_url", lambda: vhost.amqp_url)
        stopping = asyncio.Event()
        work = QueueWork(
            queues=("payments.dead",),
            batch_messages=dead_letters.BATCH_MESSAGES,
            handle=lambda messages, seconds: dead_letters.handle(broker.raw_messages_of(messages), seconds),
        )
        running = asyncio.create_task(work_queues(work, stopping))
        await eventually_async(lambda: len(rows(reader)) == MESSAGES, "every message in the table")
        stopping.set()
        await running
        found = rows(reader)
        reader.run(Statement("TRUNCATE dead_letters CASCADE"))
    assert sorted(bytes.fromhex(row["body"][2:]) for row in found) == sorted(bodies)
    assert {row["count"] for row in found} == {1}
    assert await take_all(vhost.amqp_url, "payments.dead") == []
