"""A changed delivery limit takes effect on queues that exist, on every version of RabbitMQ."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import aio_pika
import httpx
import pytest

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
    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=1)
        queue = await channel.get_queue("payments.new", ensure=False)
        with suppress(TimeoutError):
            async with queue.iterator(timeout=2) as messages:
                async for message in messages:
                    delivered += 1
                    await message.reject(requeue=True)
    assert [dead.body for dead in await take_all(vhost.amqp_url, "payments.dead")] == [b"x"]
    return delivered


async def test_raised_and_lowered_it_counts_for_the_next_message(broker: Broker, vhost: Vhost) -> None:
    assert await deliveries_until_dead(vhost) == 4
    for limit in (6, 1):
        set_limit(broker, vhost, limit)
        # The queue reads its policy a moment after the broker has taken it.
        await asyncio.sleep(1)
        assert await deliveries_until_dead(vhost) == limit + 1
