"""Receivers that hang or fail, and the others, which they must not delay."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

import pytest

from local.testkit.live import eventually_async
from local.testkit.webhooks import ATTEMPTS, DELIVERIES, FAST, SLOW, DeliveryWorld
from paybridge.database.database import Database, Statement
from paybridge.webhooks.lanes import fast_lane

pytestmark = pytest.mark.integration

RECEIVERS = Statement("""
    SELECT origin, consecutive_failures, slow_until > now() FROM webhook_receivers WHERE merchant_id = :id::uuid
""")


class TestSlowReceivers:
    async def test_a_hanging_receiver_delays_no_other_beyond_the_fast_deadline(self, world: DeliveryWorld) -> None:
        dead, alive = world.merchant(), world.merchant()
        hanging = [world.event(dead, "/hang") for _ in range(120)]
        good = [world.event(alive, "/ok") for _ in range(20)]
        started = time.monotonic()
        reports = await world.deliver(*hanging, *good)
        assert time.monotonic() - started < 2 * FAST.timeout_seconds + 1
        outcomes = {report.payment_id: report.outcome for report in reports}
        assert {outcomes[event.payment_id] for event in good} == {"delivered"}
        assert sorted({outcomes[event.payment_id] for event in hanging}) == ["postponed", "retry"]

    async def test_a_delivery_is_recorded_while_others_hang(self, world: DeliveryWorld) -> None:
        hanging, good = world.event(world.merchant(), "/hang"), world.event(world.merchant(), "/ok")
        task = asyncio.create_task(world.deliver(hanging, good, lane=fast_lane(3)))
        with closing(Database(world.address)) as other:
            await eventually_async(lambda: other.run(DELIVERIES, id=good.payment_id) == [["delivered", 1]], "delivered")
            assert other.run(ATTEMPTS, id=hanging.payment_id) == [[1, "started", None, None]]
        assert not task.done()
        await task

    async def test_after_a_timeout_first_attempts_go_to_the_slow_lane(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"))
        assert world.database.run(RECEIVERS, id=merchant_id) == [[world.sink, 1, True]]
        event = world.event(merchant_id, "/ok")
        (report,) = await world.deliver(event)
        assert (report.outcome, world.attempts(event)) == ("postponed", [])
        (entry,) = world.outbox(event)
        assert (entry.exchange, entry.routing_key) == ("payments", "webhooks.retry")
        assert entry.delay_seconds <= 0
        assert await world.deliver(event) == []
        await world.deliver(entry.message, lane=SLOW)
        assert world.attempts(event) == [[1, "delivered", 200, None]]

    async def test_a_prompt_answer_brings_the_receiver_back(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"))
        slow, prompt = world.event(merchant_id, "/slow/0.7"), world.event(merchant_id, "/ok")
        await world.deliver(slow, prompt)
        await world.deliver(world.command(slow), lane=SLOW)
        assert world.database.run(RECEIVERS, id=merchant_id)[0][2]
        await world.deliver(world.command(prompt), lane=SLOW)
        assert world.database.run(RECEIVERS, id=merchant_id) == []

    async def test_failures_in_a_row_make_a_receiver_slow(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        for number in range(1, 6):
            await world.deliver(world.event(merchant_id, "/status/500"))
            assert world.database.run(RECEIVERS, id=merchant_id) == [
                [world.sink, number, True if number >= 5 else None]
            ]

    async def test_one_merchants_slow_receiver_is_fast_for_another(self, world: DeliveryWorld) -> None:
        await world.deliver(world.event(world.merchant(), "/hang"))
        (report,) = await world.deliver(world.event(world.merchant(), "/ok"))
        assert report.outcome == "delivered"
