"""Receivers that hang or fail, and the others, which they must not delay."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from dataclasses import replace

import pytest

from local.testkit.live import eventually_async
from local.testkit.raw_servers import raw_server
from local.testkit.webhooks import ATTEMPTS, DELIVERIES, FAST, SLOW, DeliveryWorld
from paybridge.database.database import Database, Statement
from paybridge.webhooks import slow_receivers
from paybridge.webhooks.lanes import fast_lane, lane_of, slow_lane
from paybridge.webhooks.slow_receivers import LIMITS
from paybridge.webhooks.store.receivers import FaultLimits

pytestmark = pytest.mark.integration

# Only for receivers that hang: a busy machine may need longer than this to answer.
FAST_AT_HANGING = fast_lane(0.5)
SLOW_AT_HANGING = slow_lane(0.5, prompt_seconds=0.2)
AGE = Statement("""
    UPDATE webhook_receivers
    SET slow_until = slow_until - make_interval(secs => :seconds::double precision),
        resume_at = resume_at - make_interval(secs => :seconds::double precision)
    WHERE merchant_id = :id::uuid
""")
RECEIVERS = Statement("""
    SELECT origin, consecutive_failures, slow_until > now() FROM webhook_receivers WHERE merchant_id = :id::uuid
""")


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> FaultLimits:
    """The limits, with a wait that outlasts any test."""
    limits = replace(LIMITS, wait_seconds=600.0)
    monkeypatch.setattr(slow_receivers, "LIMITS", limits)
    return limits


class TestSlowReceivers:
    async def test_a_hanging_receiver_delays_no_other_beyond_the_fast_deadline(self, world: DeliveryWorld) -> None:
        dead, alive = world.merchant(), world.merchant()
        hanging = [world.event(dead, "/hang") for _ in range(120)]
        good = [world.event(alive, "/ok") for _ in range(20)]
        lane = fast_lane(6)
        reports = await world.deliver(*hanging, *good, lane=lane)
        outcomes = {report.payment_id: report.outcome for report in reports}
        assert {outcomes[event.payment_id] for event in good} == {"delivered"}
        # One deadline passes for as many as go to a receiver at once. No other begins after it.
        tried = lane.receiver_attempts_max
        assert Counter(outcomes[event.payment_id] for event in hanging) == {"retry": tried, "postponed": 120 - tried}

    async def test_a_delivery_is_recorded_while_others_hang(self, world: DeliveryWorld) -> None:
        released = asyncio.Event()

        async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await released.wait()

        async with raw_server(hang) as server:
            hanging = world.event(world.merchant(), f"http://127.0.0.1:{server.port}/")
            good = world.event(world.merchant(), "/ok")
            task = asyncio.create_task(world.deliver(hanging, good, lane=fast_lane(60)))
            with closing(Database(world.address)) as other:
                await eventually_async(
                    lambda: other.run(DELIVERIES, id=good.payment_id) == [["delivered", 1]], "delivered"
                )
                assert other.run(ATTEMPTS, id=hanging.payment_id) == [[1, "started", None, None]]
            assert not task.done()
            released.set()
            await task

    async def test_after_a_timeout_first_attempts_go_to_the_slow_lane(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"), lane=FAST_AT_HANGING)
        assert world.database.run(RECEIVERS, id=merchant_id) == [[world.sink, 1, True]]
        event = world.event(merchant_id, "/ok")
        (report,) = await world.deliver(event)
        assert (report.outcome, world.attempts(event)) == ("postponed", [])
        (entry,) = world.outbox(event)
        assert (entry.exchange, entry.routing_key) == ("payments", "webhooks.retry")
        assert entry.delay_seconds <= 0
        assert entry.message.data["attempt"] == 1
        assert await world.deliver(event) == []
        await world.deliver(entry.message, lane=SLOW)
        assert world.attempts(event) == [[1, "delivered", 200, None]]

    async def test_a_prompt_answer_brings_the_receiver_back(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"), lane=FAST_AT_HANGING)
        slow, prompt = world.event(merchant_id, "/slow/0.7"), world.event(merchant_id, "/ok")
        await world.deliver(slow, prompt)
        await world.deliver(world.command(slow), lane=replace(SLOW, prompt_seconds=0.5))
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
        await world.deliver(world.event(world.merchant(), "/hang"), lane=FAST_AT_HANGING)
        (report,) = await world.deliver(world.event(world.merchant(), "/ok"))
        assert report.outcome == "delivered"

    async def test_a_late_answer_moves_the_receiver_and_is_no_failure(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/slow/0.3")
        (report,) = await world.deliver(event, lane=replace(FAST, prompt_seconds=0.2))
        assert report.outcome == "delivered"
        assert world.database.run(RECEIVERS, id=merchant_id) == [[world.sink, 0, True]]

    async def test_a_receiver_that_failed_stays_slow_until_it_answers_promptly(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"), lane=FAST_AT_HANGING)
        # As an hour later: no first attempt tries again whether it still hangs.
        world.database.run(AGE, id=merchant_id, seconds=3600)
        assert [report.outcome for report in await world.deliver(world.event(merchant_id, "/hang"))] == ["postponed"]
        # A day later that record is of no use.
        world.database.run(AGE, id=merchant_id, seconds=24 * 3600)
        assert [report.outcome for report in await world.deliver(world.event(merchant_id, "/ok"))] == ["delivered"]


class TestColdReceivers:
    """A receiver that takes 2.5 s for its first answers, with the deadlines that deployments have."""

    @pytest.mark.parametrize("batches", [[20], [1, 19], [5, 5, 5, 5]])
    async def test_each_event_is_told_once(self, world: DeliveryWorld, batches: list[int]) -> None:
        merchant_id = world.merchant()
        settings = {"fast_timeout_seconds": 6.0, "slow_timeout_seconds": 15.0}
        fast, slow = (lane_of(queue, **settings) for queue in ("webhooks", "webhooks.retry"))
        batch_events = [[world.event(merchant_id, "/slow/2.5") for _ in range(count)] for count in batches]
        for events in batch_events:
            await world.deliver(*events, lane=fast)
            waiting = [event for event in events if world.deliveries(event) == [["pending", 0]]]
            await world.deliver(*(world.command(event) for event in waiting), lane=slow)
        events = [event for part in batch_events for event in part]
        assert [world.deliveries(event) for event in events] == [[["delivered", 1]]] * 20
        assert [len(world.received(event)) for event in events] == [1] * 20


class TestFairness:
    async def test_a_receiver_that_failed_promptly_is_tried_again_on_the_fast_lane(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/fail-times/1/fair")
        await world.deliver(event)
        (entry,) = world.outbox(event)
        assert (entry.exchange, entry.routing_key) == ("payments", "webhooks")
        (report,) = await world.deliver(world.command(event))
        assert (report.outcome, report.attempt) == ("delivered", 2)

    async def test_a_timeout_is_tried_again_on_the_slow_lane(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/hang")
        await world.deliver(event, lane=FAST_AT_HANGING)
        assert world.outbox(event)[-1].routing_key == "webhooks.retry"
        await world.deliver(world.command(event), lane=SLOW_AT_HANGING)
        assert world.outbox(event)[-1].routing_key == "webhooks.retry"

    async def test_a_slow_receiver_that_fails_promptly_is_tried_again_on_the_slow_lane(
        self, world: DeliveryWorld
    ) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"), lane=FAST_AT_HANGING)
        event = world.event(merchant_id, "/status/500")
        await world.deliver(event)
        await world.deliver(world.command(event), lane=SLOW)
        assert world.outbox(event)[-1].routing_key == "webhooks.retry"

    async def test_a_receiver_with_many_events_holds_up_one_batch_of_the_slow_lane(
        self, world: DeliveryWorld, limits: FaultLimits
    ) -> None:
        dead, slow = world.merchant(), world.merchant()
        await world.deliver(world.event(dead, "/hang"), world.event(slow, "/hang"), lane=FAST_AT_HANGING)
        hanging = [[world.event(dead, "/hang") for _ in range(100)] for _ in range(4)]
        # Batches of the queue `webhooks.retry` one after the other, as they came from the fast lane.
        for events in hanging:
            await world.deliver(*events)
        mine = world.event(slow, "/ok")
        await world.deliver(mine)
        for events in hanging:
            await world.deliver(*(world.command(event) for event in events), lane=SLOW_AT_HANGING)
        (report,) = await world.deliver(world.command(mine), lane=SLOW)
        assert report.outcome == "delivered"
        # The first batch finds out within one deadline, the others do not wait again.
        tried = [sum(bool(world.attempts(event)) for event in events) for events in hanging]
        assert tried == [SLOW_AT_HANGING.receiver_attempts_max, 0, 0, 0]
        delays = [world.outbox(event)[-1].delay_seconds for event in hanging[3]]
        assert all(limits.wait_seconds - 60 < delay <= limits.wait_seconds for delay in delays)

    async def test_a_receiver_that_answers_again_gets_what_waited(
        self, world: DeliveryWorld, limits: FaultLimits
    ) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/hang"), lane=FAST_AT_HANGING)
        hanging = [world.event(merchant_id, "/hang") for _ in range(limits.wait_failures)]
        await world.deliver(*hanging)
        await world.deliver(*(world.command(event) for event in hanging), lane=SLOW_AT_HANGING)
        waiting = world.event(merchant_id, "/ok")
        (report,) = await world.deliver(waiting)
        assert (report.outcome, world.attempts(waiting)) == ("postponed", [])
        assert world.outbox(waiting)[-1].delay_seconds > limits.wait_seconds - 60
        world.database.run(AGE, id=merchant_id, seconds=limits.wait_seconds)
        (report,) = await world.deliver(world.command(waiting), lane=SLOW)
        assert report.outcome == "delivered"
        assert world.database.run(RECEIVERS, id=merchant_id) == []
