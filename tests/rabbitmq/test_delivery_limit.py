"""A changed delivery limit takes effect on queues that exist, on every version of RabbitMQ."""

from __future__ import annotations

import asyncio
from functools import partial

import aio_pika
import httpx
import pytest

from local.testkit.live import eventually, eventually_async
from local.testkit.queues import put, take_all
from local.testkit.servers import Broker, Vhost

pytestmark = [pytest.mark.integration, pytest.mark.broker]

POLICY = "paybridge-work"


def set_limit(broker: Broker, vhost: Vhost, limit: int) -> None:
    """Change the policy of the working queues, as `make topology` does with a changed infra/topology.json."""
    with httpx.Client(
        base_url=f"{broker.management_url}/api/policies/{vhost.name}", trust_env=False, timeout=30
    ) as client:
        policy = client.get(POLICY).raise_for_status().json()
        policy["definition"]["delivery-limit"] = limit
        client.put(POLICY, json=policy).raise_for_status()


async def deliveries_until_dead(vhost: Vhost) -> int:
    """Reject the message at each delivery; return how many there were before it was dead-lettered."""
    await put(vhost.amqp_url, "payments.new", b"x")
    delivered = 0

    async def reject(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal delivered
        delivered += 1
        await message.reject(requeue=True)

    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue("payments.new", ensure=False)
        await queue.consume(reject)
        dead = await eventually_async(lambda: asyncio.run(take_all(vhost.amqp_url, "payments.dead")), "a dead letter")
    assert [letter.body for letter in dead] == [b"x"]
    return delivered


def has_taken_effect(vhost: Vhost, limit: int) -> bool:
    return asyncio.run(deliveries_until_dead(vhost)) == limit + 1


def test_raised_and_lowered_it_counts_for_the_messages_that_follow(broker: Broker, vhost: Vhost) -> None:
    assert has_taken_effect(vhost, 3)
    for limit in (6, 1):
        set_limit(broker, vhost, limit)
        # The queue reads its policy a moment after the broker has taken it.
        eventually(partial(has_taken_effect, vhost, limit), f"a limit of {limit}")
