"""A worker finds the message that makes a batch fail unexpectedly, and dead-letters no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import orjson
import pytest

from local.testkit.live import eventually_async
from local.testkit.queues import put, take_all
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.core.clock import SystemClock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.events import PROCESS_PAYMENT
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.payments.domain.events import process_payment_command
from paybridge.rabbitmq.batch import Batch
from paybridge.wiring import broker
from paybridge.worker import queues
from paybridge.worker.queues import QueueWork, work_queues

pytestmark = [pytest.mark.integration, pytest.mark.broker]

QUEUE = "payments.new"


@pytest.fixture(autouse=True)
def wired(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress, vhost: Vhost) -> Iterator[None]:
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(broker, "rabbitmq_url", lambda: vhost.amqp_url)
        monkeypatch.setattr(queues, "REFUSED_PAUSE_SECONDS", 0.05)
        yield


class Handling:
    """Handles batches; fails with each given error once, and always for a batch with the id `fails_on`."""

    def __init__(self, *failures: Exception, fails_on: str = "") -> None:
        self.failures = list(failures)
        self.fails_on = fails_on
        self.handled: list[str] = []
        self.batches = 0

    async def handle(self, batch: Batch, database_patience_seconds: float) -> dict[str, int]:
        self.batches += 1
        if self.failures:
            raise self.failures.pop(0)
        if any(received.message_id == self.fails_on for received in batch.events):
            raise ZeroDivisionError
        self.handled += [received.message_id for received in batch.events]
        return {}


async def put_commands(vhost: Vhost, *message_ids: str) -> None:
    ids = Uuid7Ids()
    for message_id in message_ids:
        command = process_payment_command(ids.new(), ids.new(), ids.new(), "test", SystemClock().now(), 2)
        await put(vhost.amqp_url, QUEUE, orjson.dumps(command.envelope()), message_id=message_id)


async def worked_until(handling: Handling, done: object) -> None:
    stopping = asyncio.Event()
    known_types = frozenset({PROCESS_PAYMENT})
    work = QueueWork(
        queues=(QUEUE,),
        batch_messages=100,
        handle=lambda messages, seconds: handling.handle(broker.batch_of(messages, known_types), seconds),
    )
    running = asyncio.create_task(work_queues(work, stopping))
    await eventually_async(done, "done")  # type: ignore[arg-type]
    stopping.set()
    await running


class TestWorkQueues:
    async def test_only_the_bad_message_is_dead_lettered(self, vhost: Vhost) -> None:
        await put_commands(vhost, "a", "bad", "b")
        handling = Handling(fails_on="bad")
        dead: list[str | None] = []

        def dead_lettered() -> bool:
            dead.extend(got.message_id for got in asyncio.run(take_all(vhost.amqp_url, "payments.dead")))
            return bool(dead)

        await worked_until(handling, dead_lettered)
        assert dead == ["bad"]
        assert sorted(handling.handled) == ["a", "b"]
        assert await take_all(vhost.amqp_url, QUEUE) == []

    async def test_a_failed_batch_is_redelivered(self, vhost: Vhost) -> None:
        await put_commands(vhost, "a", "b")
        handling = Handling(DatabaseUnavailable("down"), DatabaseUnavailable("down"))
        await worked_until(handling, lambda: len(handling.handled) == 2)
        assert sorted(handling.handled) == ["a", "b"]
        assert await take_all(vhost.amqp_url, QUEUE) == []
        assert await take_all(vhost.amqp_url, "payments.dead") == []

    async def test_waiting_messages_are_handled_together(self, vhost: Vhost) -> None:
        await put_commands(vhost, *(f"message-{number}" for number in range(20)))
        handling = Handling()
        await worked_until(handling, lambda: len(handling.handled) == 20)
        assert handling.batches < 20
