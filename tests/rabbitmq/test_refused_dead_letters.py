"""Poison that the dead-letter exchange does not take: it is still somewhere, and never acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from aio_pika.exceptions import DeliveryError

from local.testkit.live import eventually_async
from local.testkit.queues import put, take_all
from local.testkit.servers import Broker, Vhost
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, Unavailable
from paybridge.rabbitmq.batch import Batch, Poison, batch_of, dead_letter
from paybridge.rabbitmq.subscription import TakenMessage, subscribe
from paybridge.runners import batch as runner
from paybridge.runners.batch import run_batch
from paybridge.wiring import broker as broker_wiring
from paybridge.worker.queues import QueueWork, _work_batch

pytestmark = [pytest.mark.integration, pytest.mark.broker]

QUEUE, DEAD = "payments.new", "payments.dead"
POISON = b"no event"


def unbind(vhost: Vhost) -> None:
    """Take away the binding of the dead-letter queue."""
    path = f"/api/bindings/{vhost.name}/e/payments.dlx/q/{DEAD}/{DEAD}"
    httpx.delete(vhost.management_url + path, timeout=20, trust_env=False).raise_for_status()


def fill(vhost: Vhost) -> None:
    """Let the dead-letter queue refuse every further message."""
    policy = {
        "pattern": f"^{DEAD}$",
        "apply-to": "queues",
        "priority": 99,
        "definition": {"max-length": 1, "overflow": "reject-publish"},
    }
    path = f"/api/policies/{vhost.name}/full"
    httpx.put(vhost.management_url + path, json=policy, timeout=20, trust_env=False).raise_for_status()
    asyncio.run(_fill(vhost))


async def _fill(vhost: Vhost) -> None:
    async with asyncio.timeout(30):
        with suppress(DeliveryError):
            while True:
                await put(vhost.amqp_url, DEAD, b"filler")


@pytest.fixture(params=[unbind, fill])
def refusing(request: pytest.FixtureRequest, broker: Broker) -> Vhost:
    """A virtual host whose dead letters take nothing."""
    vhost = broker.fresh_vhost()
    refuse: Callable[[Vhost], None] = request.param
    refuse(vhost)
    return vhost


async def test_what_is_not_taken_is_reported(refusing: Vhost) -> None:
    with pytest.raises(BrokerUnavailable, match="did not take 2 messages"):
        await dead_letter(refusing.amqp_url, [Poison(QUEUE, f"m-{n}", POISON, "because") for n in range(2)])


async def test_the_message_is_still_in_its_queue(refusing: Vhost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "await_database", lambda *_: datetime.now(UTC))
    monkeypatch.setattr(wiring, "database", lambda: None)
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: refusing.amqp_url)
    await put(refusing.amqp_url, QUEUE, POISON, message_id="poison")

    async def nothing(_batch: Batch) -> dict[str, int]:
        return {}

    async def handle(messages: Sequence[TakenMessage], patience_seconds: float) -> dict[str, int]:
        return await run_batch(batch_of(messages, frozenset()), nothing, patience_seconds)

    work = QueueWork(queues=(QUEUE,), batch_messages=10, handle=handle)
    async with subscribe(refusing.amqp_url, [QUEUE], 10) as subscription:
        messages = await subscription.batch(10)
        with pytest.raises(Unavailable):
            await _work_batch(work, subscription, messages)
    left = await eventually_async(lambda: asyncio.run(take_all(refusing.amqp_url, QUEUE)), "the message in its queue")
    assert [message.body for message in left] == [POISON]
    assert POISON not in [message.body for message in await take_all(refusing.amqp_url, DEAD)]
