"""Messages that are handed back are in their queue again, byte for byte, and have used up no delivery."""

from __future__ import annotations

import orjson
import pytest

from local.testkit.queues import Got, take_all
from local.testkit.servers import Broker, Vhost
from paybridge.core.errors import BrokerUnavailable
from paybridge.core.events import parse_envelope
from paybridge.rabbitmq.batch import Received, hand_back
from tests.support.envelopes import an_envelope

pytestmark = pytest.mark.integration


def received(queue: str, **changes: object) -> Received:
    envelope = an_envelope(**changes)
    return Received(queue, parse_envelope(envelope), "m-1", orjson.dumps(envelope))


async def taken(vhost: Vhost, queue: str) -> list[Got]:
    return await take_all(vhost.amqp_url, queue)


class TestHandBack:
    @pytest.mark.parametrize("queue", ["payments.new", "webhooks", "webhooks.retry"])
    async def test_a_message_returns_to_its_queue_alone(self, vhost: Vhost, queue: str) -> None:
        one = received(queue)
        await hand_back(vhost.amqp_url, [one])
        (got,) = await taken(vhost, queue)
        assert (got.message_id, got.body, got.type) == ("m-1", one.body, one.event.type)
        assert got.correlation_id == one.event.correlation_id
        assert got.headers.get("x-delivery-count", 0) == 0
        for other in {"payments.new", "webhooks", "webhooks.retry", "payments.dead"} - {queue}:
            assert await taken(vhost, other) == []

    async def test_messages_of_shards_return_to_the_shard_of_their_payment(self, broker: Broker) -> None:
        vhost = broker.fresh_vhost(payment_shards=4)
        messages = [received(f"payments.new.{number}") for number in range(4) for _ in range(5)]
        await hand_back(vhost.amqp_url, messages)
        await hand_back(vhost.amqp_url, messages)
        by_shard = [await taken(vhost, f"payments.new.{number}") for number in range(4)]
        assert sum(map(len, by_shard)) == 40
        assert await taken(vhost, "payments.new") == []
        for got in by_shard:
            bodies = [message.body for message in got]
            assert all(bodies.count(body) % 2 == 0 for body in bodies)

    async def test_a_broker_that_lacks_the_way_refuses(self, broker: Broker) -> None:
        bare = broker.fresh_vhost(declared=False)
        with pytest.raises(BrokerUnavailable, match="did not take 1 message"):
            await hand_back(bare.amqp_url, [received("payments.new")])

    async def test_a_broker_that_is_away_refuses(self) -> None:
        with pytest.raises(BrokerUnavailable):
            await hand_back("amqp://guest:guest@127.0.0.1:1/", [received("payments.new")])
