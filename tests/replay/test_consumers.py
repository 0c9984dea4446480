"""A replay, and the same one again, change nothing at a consumer that has processed the events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from local.testkit.ledger import balances
from local.testkit.local_servers import running_sink
from local.testkit.notifications import NotificationWorld
from local.testkit.payments import WEBHOOK_SECRET, new_merchant
from local.testkit.webhooks import DeliveryWorld
from paybridge.core.events import Event, parse_envelope
from paybridge.database.connecting import DatabaseAddress
from paybridge.ledger.post import post_events
from paybridge.outbox.consumers import EVENT_CONSUMERS
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.http import HttpWebhookSender
from tests.replay.conftest import ReplayWorld

pytestmark = [pytest.mark.integration, pytest.mark.broker]


async def replayed(world: ReplayWorld, consumer: str) -> list[Event]:
    """Replay everything to the consumer, and return what its queue got."""
    world.start(consumer=consumer, rate_per_second=1000.0)
    await world.until_done()
    return [parse_envelope(orjson.loads(got.body)) for got in await world.taken(consumer)]


def to_sink(world: ReplayWorld, url: str) -> Event:
    """Record a fact whose webhook goes to this URL."""
    payment_id = UUID(str(uuid7()))
    data = {"payment_id": str(payment_id), "status": "succeeded", "webhook_url": url}
    return world.fact(payment_id=payment_id, data=data)


async def test_webhooks_are_sent_once(world: ReplayWorld, database_address: DatabaseAddress) -> None:
    with running_sink(WEBHOOK_SECRET) as sink:
        async with HttpWebhookSender(local_networks=LOOPBACK) as sender:
            with closing(DeliveryWorld(database_address, sender, sink)) as webhooks:
                world.merchant_id = webhooks.merchant()
                facts = [to_sink(world, f"{sink}/hooks") for _ in range(3)]
                # One of them was lost, and is made up for.
                await webhooks.deliver(*facts[:2])
                for _ in range(2):
                    events = await replayed(world, "webhooks")
                    assert {event.id for event in events} == {fact.id for fact in facts}
                    await webhooks.deliver(*events, *events)
                assert [webhooks.deliveries(fact) for fact in facts] == [[["delivered", 1]]] * 3
                assert [len(webhooks.received(fact)) for fact in facts] == [1, 1, 1]


async def test_contacts_are_notified_once(world: ReplayWorld, database_address: DatabaseAddress) -> None:
    with closing(NotificationWorld(database_address)) as notifications:
        await contacts_notified_once(world, notifications)


async def contacts_notified_once(world: ReplayWorld, notifications: NotificationWorld) -> None:
    world.merchant_id = notifications.merchant(phone=None)
    data = {"payment_id": "p", "amount": "100.50", "currency": "RUB", "status": "succeeded"}
    facts = [world.fact(data=data) for _ in range(3)]
    await notifications.notify(*facts[:2])
    new = world.start(consumer="notifications", is_dry_run=True).view()["would"]
    assert (new["new"], new["already_processed"]) == (1, 2)
    for _ in range(2):
        events = await replayed(world, "notifications")
        assert {event.id for event in events} == {fact.id for fact in facts}
        await notifications.notify(*events, *events)
    assert len(notifications.email.taken) == 3
    assert world.start(consumer="notifications", is_dry_run=True).view()["would"]["new"] == 0


async def test_the_bridge_sends_each_time_under_the_same_id(world: ReplayWorld) -> None:
    facts = [world.fact() for _ in range(3)]
    would = world.start(consumer="bridge", is_dry_run=True).view()["would"]
    assert (would["new"], would["already_processed"]) == (3, 0)
    for _ in range(2):
        assert {event.id for event in await replayed(world, "bridge")} == {fact.id for fact in facts}


async def test_payments_are_posted_once(world: ReplayWorld) -> None:
    data = {"currency": "EUR", "operation": {"type": "charge", "amount": "1.00", "operation_id": None}}
    world.merchant_id = new_merchant(world.database)
    facts = [world.fact(data=data) for _ in range(3)]
    post_events(world.database, facts[:2])
    new = world.start(consumer="ledger", is_dry_run=True).view()["would"]
    assert (new["new"], new["already_processed"]) == (1, 2)
    for _ in range(2):
        events = await replayed(world, "ledger")
        assert {event.id for event in events} == {fact.id for fact in facts}
        post_events(world.database, [*events, *events])
        assert balances(world.database, world.merchant_id) == {("available", "EUR"): 300}
    assert world.start(consumer="ledger", is_dry_run=True).view()["would"]["new"] == 0


TRIED: dict[str, Callable[..., Awaitable[Any]]] = {
    "webhooks": test_webhooks_are_sent_once,
    "notifications": test_contacts_are_notified_once,
    "bridge": test_the_bridge_sends_each_time_under_the_same_id,
    "ledger": test_payments_are_posted_once,
}


def test_every_consumer_is_tried() -> None:
    assert TRIED.keys() == EVENT_CONSUMERS.keys()
