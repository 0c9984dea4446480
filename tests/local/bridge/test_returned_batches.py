"""A batch that fails again and again, on every version of RabbitMQ.

A mapping can only return a whole batch, by a nack. Up to RabbitMQ 4.2 each return counts toward the delivery limit of
the queue, which at last hands the batch to the dead letters. From 4.3 on it counts toward nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aio_pika
import httpx
import pytest

from consumer import handler as consumer
from infra.sam_template.definitions import Template
from infra.sam_template.template import read_template
from local.bridge import rabbitmq
from local.bridge.rabbitmq import QueueMapping, queue_mappings
from local.lambda_host.host import LambdaHost
from local.lambda_host.model import PAYLOAD_BYTES_MAX, InvocationResult, Invoker, failure
from local.testkit.live import eventually_async
from local.testkit.payments import new_merchant, new_payment
from local.testkit.queues import Got, put, take_all
from local.testkit.rmq import outbox_bodies
from local.testkit.servers import Broker, Vhost, address_of
from paybridge import wiring
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.rabbitmq.batch import RETURNS_MAX
from paybridge.rabbitmq.depths import AmqpQueueDepths
from paybridge.runners import consumer as handling
from paybridge.wiring import broker, payments
from tests.support.template import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.broker]

TOYS = ROOT / "tests" / "support" / "lambda_functions" / "template.yaml"
QUEUE, DEAD = "payments.new", "payments.dead"
NOTED = "batches.jsonl"
# What infra/topology.json allows payments.new: so many returns, and one delivery more.
LIMIT = 3


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rabbitmq, "_FAILURE_PAUSE_SECONDS", 0.01)


@pytest.fixture
def counts_returns(broker: Broker) -> bool:
    """Return whether this broker counts a mapping's returns toward the delivery limit."""
    answer = httpx.get(f"{broker.management_url}/api/overview", timeout=20, trust_env=False).raise_for_status().json()
    return tuple(map(int, answer["rabbitmq_version"].split(".")[:2])) < (4, 3)


@asynccontextmanager
async def running(mappings: list[QueueMapping]) -> AsyncIterator[None]:
    """Serve the queues within the block."""
    tasks = [asyncio.create_task(mapping.run()) for mapping in mappings]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


def mappings_to(invoker: Invoker, vhost: Vhost, folder: Path) -> list[QueueMapping]:
    """Return the mapping of the queue of new payments to what `invoker` runs."""
    return queue_mappings(list(toys(folder).functions.values()), invoker, vhost.amqp_url)


def toys(folder: Path) -> Template:
    """Return the toy functions. Their consumer records its batches in this folder."""
    return read_template(TOYS, {"Batches": str(folder / NOTED), "Queue": QUEUE})


def batches(noted: Path) -> list[list[str]]:
    lines = noted.read_text().splitlines() if noted.exists() else []
    return [json.loads(line)["bodies"] for line in lines]


@pytest.mark.parametrize("how", [".fail", ".exit"], ids=["raises", "dies"])
async def test_only_before_4_3_does_the_delivery_limit_end_a_batch_that_always_returns(
    vhost: Vhost, tmp_path: Path, counts_returns: bool, how: str
) -> None:
    noted = tmp_path / NOTED
    noted.with_suffix(how).touch()
    await put(vhost.amqp_url, QUEUE, b"a")
    async with LambdaHost(toys(tmp_path), logs_dir=tmp_path) as host, running(mappings_to(host, vhost, tmp_path)):
        enough = LIMIT + 1 if counts_returns else 2 * LIMIT + 2
        await eventually_async(lambda: len(batches(noted)) >= enough, "the batch has returned often enough", 60)
    dead = await until_some(vhost, DEAD) if counts_returns else await take_all(vhost.amqp_url, DEAD)
    assert [message.body for message in dead] == ([b"a"] if counts_returns else [])
    if counts_returns:
        assert batches(noted) == [["a"]] * (LIMIT + 1)
        assert await take_all(vhost.amqp_url, QUEUE) == []
    else:
        assert [message.body for message in await until_some(vhost, QUEUE)] == [b"a"]


async def until_some(vhost: Vhost, queue: str) -> list[Got]:
    """Wait for messages in the queue and return them. A mapping's messages come back a moment after its end."""
    return await eventually_async(lambda: asyncio.run(take_all(vhost.amqp_url, queue)), f"something in {queue}", 20)


async def until_logged(caplog: pytest.LogCaptureFixture, text: str) -> None:
    await eventually_async(lambda: text in caplog.text, f"{text!r} in the log")


class InProcess:
    """Invoke the consumer function's handler in this process and report its failure as Lambda does."""

    def __init__(self) -> None:
        self.invocations = 0

    async def invoke(self, function_name: str, payload: bytes, *, wait_seconds_max: float = 0.0) -> InvocationResult:
        self.invocations += 1
        try:
            answer = await asyncio.to_thread(consumer.handler, json.loads(payload), None)  # type: ignore[arg-type]
        except ZeroDivisionError:
            return failure("ZeroDivisionError", "division by zero")
        return InvocationResult(json.dumps(answer).encode())

    async def invoke_event(self, function_name: str, payload: bytes, retry_policy: Any = None) -> None:
        raise AssertionError("a mapping invokes synchronously")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(address_of(database_url))) as database:
        yield database


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch, database: Database, vhost: Vhost) -> InProcess:
    """The consumer function, with a defect that fails every batch with a payment."""

    async def defect(services: object, orders: list[object], watch: object) -> list[object]:
        return [1 // 0 for _ in orders]

    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "environment_name", lambda: "test")
    monkeypatch.setattr(broker, "rabbitmq_url", lambda: vhost.amqp_url)
    monkeypatch.setattr(payments, "engine_services", lambda: SimpleNamespace(circuit_policy=CircuitPolicy(5, 1.0)))
    monkeypatch.setattr(handling, "run_operations", defect)
    return InProcess()


async def test_a_message_that_ends_our_consumer_each_time_comes_to_the_dead_letters_on_every_version(
    vhost: Vhost, database: Database, function: InProcess, counts_returns: bool, tmp_path: Path
) -> None:
    (body,) = outbox_bodies(database, [new_payment(database, new_merchant(database))], "payment.created")
    await put(vhost.amqp_url, QUEUE, body, message_id="ends-the-function")
    async with running(mappings_to(function, vhost, tmp_path)):
        (dead,) = await until_some(vhost, DEAD)
    assert (dead.message_id, dead.body) == ("ends-the-function", body)
    assert await take_all(vhost.amqp_url, QUEUE) == []
    if counts_returns:
        assert function.invocations == LIMIT + 1
    else:
        assert function.invocations == RETURNS_MAX + 2
        assert "returned to its queue" in str(dead.headers["x-paybridge-reason"])


@pytest.mark.parametrize("body_bytes", [PAYLOAD_BYTES_MAX * 3 // 4, PAYLOAD_BYTES_MAX + 1], ids=["base64", "body"])
async def test_a_message_too_large_for_an_invocation_comes_to_the_dead_letters_on_every_version(
    vhost: Vhost, tmp_path: Path, body_bytes: int
) -> None:
    large = b"x" * body_bytes
    for body, message_id in ((b"before", "a"), (large, "large"), (b"after", "b")):
        await put(vhost.amqp_url, QUEUE, body, message_id=message_id)
    async with LambdaHost(toys(tmp_path), logs_dir=tmp_path) as host, running(mappings_to(host, vhost, tmp_path)):
        (dead,) = await until_some(vhost, DEAD)
        await eventually_async(lambda: len(batches(tmp_path / NOTED)) >= 2, "the others have been taken", 20)
    assert (dead.message_id, dead.body == large) == ("large", True)
    assert dead.headers["x-paybridge-reason"] == f"too large for an invocation: {body_bytes} bytes"
    assert dead.headers["x-paybridge-queue"] == QUEUE
    assert batches(tmp_path / NOTED) == [["before"], ["after"]]
    assert await take_all(vhost.amqp_url, QUEUE) == []


async def test_a_dead_letter_that_is_too_large_waits_for_the_jobs_function(
    vhost: Vhost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await put(vhost.amqp_url, DEAD, b"x" * PAYLOAD_BYTES_MAX, message_id="large")
    depths = AmqpQueueDepths(vhost.amqp_url)
    async with LambdaHost(toys(tmp_path), logs_dir=tmp_path) as host:
        template = read_template(TOYS, {"Batches": str(tmp_path / NOTED), "Queue": DEAD})
        async with running(queue_mappings(list(template.functions.values()), host, vhost.amqp_url)):
            await until_logged(caplog, "left to the jobs function")
            # It is not in the mapping's hands, where no other could see or take it.
            await eventually_async(lambda: asyncio.run(depths.read([DEAD])) == {DEAD: 1}, "the message waits")
            assert [got.message_id for got in await take_all(vhost.amqp_url, DEAD)] == ["large"]


async def test_a_message_that_is_too_large_stays_while_the_dead_letters_refuse_it(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = broker.fresh_vhost(declared=False)
    await declare(bare.amqp_url, QUEUE)
    await put(bare.amqp_url, QUEUE, b"x" * PAYLOAD_BYTES_MAX, message_id="large")
    async with LambdaHost(toys(tmp_path), logs_dir=tmp_path) as host, running(mappings_to(host, bare, tmp_path)):
        await until_logged(caplog, "and stays")
    (left,) = await until_some(bare, QUEUE)
    assert left.message_id == "large"


async def declare(amqp_url: str, queue: str) -> None:
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})
