from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aio_pika
import pytest
from pamqp.commands import Basic

from infra.sam_template.template import read_template
from local.bridge.rabbitmq import queue_mappings
from local.lambda_host.host import LambdaHost
from local.testkit.servers import Broker, Vhost

TEMPLATE = Path(__file__).parents[2] / "support" / "lambda_functions" / "template.yaml"

pytestmark = [pytest.mark.integration, pytest.mark.broker]


@pytest.fixture
async def batches(broker: Broker, tmp_path: Path) -> AsyncIterator[tuple[Vhost, Path]]:
    """A running mapping of the queue `letters` on its own virtual host, and the file that records its batches."""
    vhost = broker.fresh_vhost(declared=False)
    noted = tmp_path / "batches.jsonl"
    await publish(vhost, [])
    template = read_template(TEMPLATE, {"Batches": str(noted)})
    async with LambdaHost(template, logs_dir=tmp_path) as host:
        mappings = queue_mappings(list(template.functions.values()), host, vhost.amqp_url)
        tasks = [asyncio.create_task(mapping.run()) for mapping in mappings]
        yield vhost, noted
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def publish(vhost: Vhost, bodies: list[str]) -> None:
    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("letters", durable=True, arguments={"x-queue-type": "quorum"})
        for body in bodies:
            message = aio_pika.Message(body.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, "letters")


class RawProperties(Basic.Properties):
    """One property in bytes that the test chooses: pamqp sends only what AMQP understands."""

    def __init__(self, flag: int, value: bytes) -> None:
        super().__init__()
        self._raw = struct.pack(">H", flag) + value

    def marshal(self) -> bytes:
        return self._raw


async def publish_with(vhost: Vhost, body: bytes, properties: Basic.Properties) -> None:
    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_publish(body, routing_key="letters", properties=properties)


def noted_so_far(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["bodies"] for line in lines]


async def noted_bodies(path: Path, count: int) -> list[list[str]]:
    """Return the bodies of the batches once they hold `count` messages. Fail after 20 s."""
    async with asyncio.timeout(20):
        while True:
            found = noted_so_far(path)
            if sum(map(len, found)) >= count:
                return found
            await asyncio.sleep(0.05)


class TestQueueMapping:
    async def test_takes_messages_in_batches_in_order(self, batches: tuple[Vhost, Path]) -> None:
        vhost, noted = batches
        await publish(vhost, [str(number) for number in range(25)])
        found = await noted_bodies(noted, 25)
        assert [body for batch in found for body in batch] == [str(number) for number in range(25)]
        assert max(map(len, found)) <= 10
        assert len(found) < 25
        assert json.loads(noted.read_text().splitlines()[0])["queues"] == [f"letters::{vhost.name}"]

    async def test_returns_the_whole_batch_of_a_failed_function(self, batches: tuple[Vhost, Path]) -> None:
        vhost, noted = batches
        noted.with_suffix(".fail").touch()
        await publish(vhost, ["a", "b", "c"])
        first = (await noted_bodies(noted, 3))[0]
        noted.with_suffix(".fail").unlink()
        again = await noted_bodies(noted, 6)
        assert first
        assert {body for batch in again[1:] for body in batch} == {"a", "b", "c"}

    @pytest.mark.broker_stops
    async def test_comes_back_after_an_outage_of_the_broker(self, batches: tuple[Vhost, Path], broker: Broker) -> None:
        vhost, noted = batches
        await publish(vhost, ["before"])
        await noted_bodies(noted, 1)
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        await publish(vhost, ["after"])
        assert (await noted_bodies(noted, 2))[-1] == ["after"]

    @pytest.mark.parametrize(
        ("flag", "value"),
        [
            (Basic.Properties.flags["correlation_id"], b"\x04id\xff\xfe"),
            (Basic.Properties.flags["headers"], struct.pack(">I", 4) + b"\x01\xfft\x01"),
            (Basic.Properties.flags["timestamp"], b"\x7f" + b"\xff" * 7),
        ],
    )
    async def test_a_property_that_cannot_be_read_does_not_keep_the_message_from_the_function(
        self, batches: tuple[Vhost, Path], flag: int, value: bytes
    ) -> None:
        vhost, noted = batches
        await publish_with(vhost, b"odd", RawProperties(flag, value))
        await publish(vhost, ["even"])
        found = await noted_bodies(noted, 2)
        assert [body for batch in found for body in batch] == ["odd", "even"]
