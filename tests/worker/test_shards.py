"""Shards of `payments.new`: messages spread over them, a payment stays on one, and resizing loses none."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import httpx
import pytest

from local.stack import topology
from local.testkit.live import eventually
from local.testkit.queues import take_all
from local.testkit.servers import Vhost
from local.testkit.workers import Workers
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.outbox import store as outbox
from paybridge.outbox.queues import payment_queues
from paybridge.outbox.relay import relay_once
from paybridge.payments.domain.events import process_payment_command
from paybridge.rabbitmq.publisher import open_publisher
from tests.worker.conftest import Place

pytestmark = [pytest.mark.integration, pytest.mark.broker]

SHARDS = 4


def declare(vhost: Vhost, shards: int) -> None:
    topology.declare(vhost.management_url, vhost.name, payment_shards=shards)


def relay(place: Place) -> None:
    """Publish the due rows, as the relay does."""

    async def work() -> None:
        async with open_publisher(place.vhost.amqp_url) as publisher:
            while (await relay_once(place.database, publisher, 100, refused.append)).claimed:
                pass

    refused: list[object] = []
    asyncio.run(work())
    assert refused == []


def payments_by_queue(place: Place) -> dict[str, list[str]]:
    """Take all messages from the existing queues of new payments, and return their payments by queue."""
    there = {str(queue["name"]) for queue in objects(place.vhost, "queues")}
    url, names = place.vhost.amqp_url, [queue for queue in payment_queues(SHARDS) if queue in there]

    async def take() -> dict[str, list[str]]:
        return {queue: [got.headers["payment-id"] for got in await take_all(url, queue)] for queue in names}

    return asyncio.run(take())


def ask_again(place: Place, payment_ids: list[UUID]) -> None:
    """Put a command for each payment in the outbox, as after a charge without a clear answer."""
    ids, now = Uuid7Ids(), SystemClock().now()
    commands = [process_payment_command(ids.new(), id_, place.merchant_id, "test", now, 2) for id_ in payment_ids]
    with place.database.transaction() as transaction:
        outbox.add(transaction, commands)


def objects(vhost: Vhost, kind: str) -> list[dict[str, object]]:
    url = f"{vhost.management_url}/api/{kind}/{vhost.name}"
    found: list[dict[str, object]] = httpx.get(url, trust_env=False, timeout=20).raise_for_status().json()
    return found


class TestSpreading:
    def test_payments_spread_over_the_shards_and_each_stays_on_one(self, place: Place) -> None:
        declare(place.vhost, SHARDS)
        payment_ids = place.pay(200)
        ask_again(place, payment_ids)
        relay(place)
        found = payments_by_queue(place)
        assert found.pop("payments.new") == []
        assert all(len(set(payments)) >= 200 / SHARDS / 2 for payments in found.values())
        for payments in found.values():
            assert set(Counter(payments).values()) == {2}
        together = {payment for payments in found.values() for payment in payments}
        assert together == set(map(str, payment_ids))

    def test_one_shard_is_the_queue_alone(self, place: Place) -> None:
        place.pay(10)
        relay(place)
        assert len(asyncio.run(take_all(place.vhost.amqp_url, "payments.new"))) == 10
        names = {exchange["name"] for exchange in objects(place.vhost, "exchanges")}
        assert "payments.new.shards" not in names
        assert not [queue for queue in objects(place.vhost, "queues") if str(queue["name"]).startswith("payments.new.")]

    def test_every_shard_has_the_policy_of_the_queue(self, place: Place) -> None:
        declare(place.vhost, SHARDS)

        def policies() -> dict[str, object]:
            # The management API shows a queue's policy a moment after the queue exists.
            found = {str(queue["name"]): queue.get("policy") for queue in objects(place.vhost, "queues")}
            return {name: found[name] for name in payment_queues(SHARDS)}

        eventually(lambda: set(policies().values()) == {"paybridge-work"}, f"policies {policies()}")


class TestChangingTheNumber:
    def test_growing_and_shrinking_lose_nothing(self, place: Place, workers: Workers) -> None:
        payment_ids = []
        for shards in (1, SHARDS, 2, 1):
            declare(place.vhost, shards)
            payment_ids += place.pay(20)
            relay(place)
        assert "payments.new.shards" not in {binding["source"] for binding in objects(place.vhost, "bindings")}
        worker = workers.start("consumer", PAYMENT_SHARDS=str(SHARDS))
        place.wait_until_each_is_charged_once(payment_ids)
        assert worker.stop() == 0
        assert payments_by_queue(place) == {queue: [] for queue in payment_queues(SHARDS)}

    def test_a_message_has_exactly_one_queue_after_each_change(self, place: Place) -> None:
        for shards in (SHARDS, 1, 2, SHARDS):
            declare(place.vhost, shards)
            payment_ids = place.pay(20)
            relay(place)
            found = [payment for payments in payments_by_queue(place).values() for payment in payments]
            assert sorted(found) == sorted(map(str, payment_ids))


class TestWorkers:
    def test_a_worker_may_be_given_some_of_the_shards(self, place: Place, workers: Workers) -> None:
        declare(place.vhost, 2)
        first = workers.start("consumer", "--queue", "payments.new.0", PAYMENT_SHARDS="2")
        second = workers.start("consumer", "--queue", "payments.new.1", "--queue", "payments.new", PAYMENT_SHARDS="2")
        payment_ids = place.pay(40)
        relay(place)
        place.wait_until_each_is_charged_once(payment_ids)
        assert all(worker.logged("processed payments") for worker in (first, second))
