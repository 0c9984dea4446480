"""Redelivering: which deliveries begin again, how often, and what their receivers get."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from local.testkit.webhooks import FAST, DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.domain.delivery_log import LoggedDelivery
from paybridge.webhooks.domain.states import DeliveryStatus
from paybridge.webhooks.lanes import FAST_QUEUE
from paybridge.webhooks.read_deliveries import read_delivery
from paybridge.webhooks.redeliver import (
    ATTEMPTS_MAX,
    NoEndpoint,
    Redelivered,
    StillPending,
    TooManyAttempts,
    redeliver_webhook,
)

pytestmark = pytest.mark.integration

_IDS = Statement("SELECT id FROM webhook_deliveries WHERE payment_id = :id::uuid")
_SET_ATTEMPTS = Statement("UPDATE webhook_deliveries SET attempts = :attempts::smallint WHERE id = :id::uuid")
AT_ONCE = 8


def delivery_of(world: DeliveryWorld, event: Event) -> UUID:
    [[id_]] = world.database.run(_IDS, id=event.payment_id)
    return UUID(str(id_))


def redeliver(database: Database, event: Event, delivery_id: UUID) -> Redelivered | None:
    return redeliver_webhook(database, SystemClock(), Uuid7Ids(), event.merchant_id, delivery_id)


async def ended(world: DeliveryWorld, path: str = "/ok", delays: tuple[float, ...] = ()) -> tuple[Event, UUID]:
    """An event that was delivered or given up, and its delivery."""
    event = world.event(world.merchant(), path)
    await world.deliver(event, delays=delays)
    return event, delivery_of(world, event)


class TestRedeliverWebhook:
    @pytest.mark.parametrize("path", ["/ok", "/status/500", "/gone"])
    async def test_sends_an_ended_one_again_with_the_same_id_and_body(self, world: DeliveryWorld, path: str) -> None:
        event, delivery_id = await ended(world, path)

        restarted = redeliver(world.database, event, delivery_id)
        assert isinstance(restarted, LoggedDelivery)
        assert (restarted.status, restarted.finished_at) == (DeliveryStatus.PENDING, None)
        await world.deliver(world.command(event), delays=())

        first, second = world.received(event)
        assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"] == str(event.id)
        assert first["body"] == second["body"]
        assert [attempt[0] for attempt in world.attempts(event)] == [1, 2]

    async def test_the_command_takes_the_fast_lane_at_once(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world)
        redeliver(world.database, event, delivery_id)
        entry = world.outbox(event)[-1]
        assert (entry.message.type, entry.routing_key) == (DELIVER_WEBHOOK, FAST_QUEUE)
        assert entry.delay_seconds <= 0

    async def test_begins_the_whole_schedule_again(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world, "/status/500", delays=(0.0,))
        await world.deliver(world.command(event), delays=(0.0,))
        assert world.deliveries(event) == [["failed", 2]]

        redeliver(world.database, event, delivery_id)
        await world.deliver(world.command(event), delays=(0.0,))
        assert world.deliveries(event) == [["pending", 3]]
        await world.deliver(world.command(event), delays=(0.0,))
        assert world.deliveries(event) == [["failed", 4]]

    async def test_an_interrupted_attempt_before_takes_up_no_place_after(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world, "/status/500")
        world.database.run(
            Statement("UPDATE webhook_attempts SET error = 'interrupted' WHERE delivery_id = :id::uuid"),
            id=delivery_id,
        )
        redeliver(world.database, event, delivery_id)
        await world.deliver(world.command(event), delays=(100, 200))
        assert world.deliveries(event) == [["pending", 2]]
        assert 0 < world.outbox(event)[-1].delay_seconds <= 100

    async def test_a_pending_one_is_left_alone(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world, "/status/500", delays=(60.0,))
        before = len(world.outbox(event))
        pending = redeliver(world.database, event, delivery_id)
        assert isinstance(pending, StillPending)
        assert pending.next_attempt_at is not None
        assert len(world.outbox(event)) == before

    async def test_a_message_of_the_event_does_not_send_it_once_more(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world)
        redeliver(world.database, event, delivery_id)
        await world.deliver(event)
        assert len(world.received(event)) == 1
        command = world.command(event)
        await world.deliver(command)
        await world.deliver(command)
        assert len(world.received(event)) == 2

    async def test_of_many_at_once_one_sends_it_once(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world)

        def run(_: int) -> str:
            with closing(Database(world.address)) as database:
                return type(redeliver(database, event, delivery_id)).__name__

        with ThreadPoolExecutor(AT_ONCE) as threads:
            outcomes = Counter(threads.map(run, range(AT_ONCE)))
        assert outcomes == {"LoggedDelivery": 1, "StillPending": AT_ONCE - 1}
        commands = [entry.message for entry in world.outbox(event) if entry.message.type == DELIVER_WEBHOOK]
        assert len(commands) == 1
        await world.deliver(*commands)
        assert len(world.received(event)) == 2

    async def test_attempts_are_bounded(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world)
        world.database.run(_SET_ATTEMPTS, id=delivery_id, attempts=ATTEMPTS_MAX)
        assert redeliver(world.database, event, delivery_id) == TooManyAttempts()
        assert world.deliveries(event) == [["delivered", ATTEMPTS_MAX]]

    @pytest.mark.parametrize("change", [{"status": "disabled"}, {"events": ("refund.*",)}, None])
    async def test_an_endpoint_that_takes_nothing_gets_nothing(
        self, world: DeliveryWorld, change: dict[str, Any] | None
    ) -> None:
        """None deletes the endpoint."""
        clock, ids, merchant_id = SystemClock(), Uuid7Ids(), world.merchant()
        order = EndpointOrder(url=f"{world.sink}/ok", events=("payment.*",))
        created = create_endpoint(world.database, clock, ids, merchant_id, order)
        assert created is not None
        event = world.event(merchant_id, None)
        await world.deliver(event)
        if change is None:
            delete_endpoint(world.database, clock, merchant_id, created.endpoint.id)
        else:
            change_endpoint(world.database, clock, ids, merchant_id, created.endpoint.id, change)
        assert redeliver(world.database, event, delivery_of(world, event)) == NoEndpoint()
        assert world.deliveries(event) == [["delivered", 1]]

    async def test_another_merchant_finds_nothing(self, world: DeliveryWorld) -> None:
        _, delivery_id = await ended(world)
        other = world.event(world.merchant(), "/ok")
        assert redeliver(world.database, other, delivery_id) is None
        assert redeliver(world.database, other, uuid7()) is None


class TestReadDelivery:
    async def test_has_every_attempt_with_code_duration_and_first_bytes(self, world: DeliveryWorld) -> None:
        # Without a status the sink answers 404 and says what is wrong.
        event, delivery_id = await ended(world, "/status/none", delays=(0.0,))
        await world.deliver(world.command(event), delays=(0.0,))
        record = read_delivery(world.database, event.merchant_id, delivery_id)
        assert record is not None
        assert (record.delivery.status, record.delivery.event_id) == (DeliveryStatus.FAILED, event.id)
        assert [attempt.number for attempt in record.attempts] == [1, 2]
        for attempt in record.attempts:
            assert attempt.response_status == 404
            assert attempt.excerpt == '{"error":"/status/none names no behaviour of this sink"}'
            assert attempt.duration_ms is not None
            assert 0 <= attempt.duration_ms < FAST.timeout_seconds * 1000
        assert record.body == world.bodies(event)[0]

    async def test_staff_reads_any_and_another_merchant_none(self, world: DeliveryWorld) -> None:
        event, delivery_id = await ended(world)
        assert read_delivery(world.database, None, delivery_id) is not None
        assert read_delivery(world.database, world.merchant(), delivery_id) is None
        assert read_delivery(world.database, event.merchant_id, uuid7()) is None
