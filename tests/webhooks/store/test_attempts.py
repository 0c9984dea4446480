"""What has ended stays ended: no late or repeated step changes a delivery or an attempt that is over."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio

from local.testkit.webhooks import DeliveryWorld
from paybridge.core.events import Event
from paybridge.database.database import Statement
from paybridge.webhooks.domain.states import DeliveryAttemptStatus, DeliveryStatus
from paybridge.webhooks.store import attempts, deliveries
from paybridge.webhooks.store.attempts import AttemptKey, FinishedAttempt
from paybridge.webhooks.store.deliveries import PaymentUrl, Postponement
from tests.support.webhook_senders import Crash, StubSender

pytestmark = pytest.mark.integration

ROW = Statement("SELECT to_json(d) FROM webhook_deliveries d WHERE id = :id::uuid")
FIND = Statement("SELECT id, url FROM webhook_deliveries WHERE payment_id = :id::uuid")
ENDED = [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED, DeliveryStatus.GONE]


@pytest.fixture
def event(world: DeliveryWorld) -> Event:
    return world.event(world.merchant(), "/x")


@pytest_asyncio.fixture
async def delivery_id(world: DeliveryWorld, event: Event) -> UUID:
    """A delivery whose first attempt has started."""
    with suppress(Crash):
        await world.deliver(event, sender=StubSender(Crash()))
    found: UUID = world.database.run(FIND, id=event.payment_id)[0][0]
    return found


def failed(delivery_id: UUID, number: int = 1) -> FinishedAttempt:
    return FinishedAttempt(
        delivery_id=delivery_id,
        number=number,
        attempt_status=DeliveryAttemptStatus.FAILED,
        response_status=500,
        error=None,
        response_excerpt="",
        latency_ms=7,
        status=DeliveryStatus.PENDING,
        delay_seconds=5.0,
    )


def ended(delivery_id: UUID, status: DeliveryStatus, number: int = 1) -> FinishedAttempt:
    is_delivered = status is DeliveryStatus.DELIVERED
    return replace(
        failed(delivery_id, number),
        attempt_status=DeliveryAttemptStatus.DELIVERED if is_delivered else DeliveryAttemptStatus.FAILED,
        response_status={DeliveryStatus.DELIVERED: 200, DeliveryStatus.GONE: 410}.get(status, 503),
        status=status,
        delay_seconds=None,
    )


@pytest.mark.parametrize("status", ENDED)
class TestEndedDeliveries:
    def test_a_late_answer_is_recorded_and_reopens_nothing(
        self, world: DeliveryWorld, event: Event, delivery_id: UUID, status: DeliveryStatus
    ) -> None:
        with world.database.transaction() as transaction:
            attempts.close_interrupted(transaction, [AttemptKey(delivery_id, 2)])
            assert attempts.start(transaction, [AttemptKey(delivery_id, 2)]) == {delivery_id}
            assert attempts.finish(transaction, [ended(delivery_id, status, 2)]) == {delivery_id}
        before = world.database.run(ROW, id=delivery_id)
        with world.database.transaction() as transaction:
            assert attempts.finish(transaction, [failed(delivery_id)]) == set()
        assert world.database.run(ROW, id=delivery_id) == before
        assert world.attempts(event)[0] == [1, "failed", 500, None]

    def test_nothing_starts_postpones_or_ends_it_again(
        self, world: DeliveryWorld, event: Event, delivery_id: UUID, status: DeliveryStatus
    ) -> None:
        with world.database.transaction() as transaction:
            attempts.finish(transaction, [ended(delivery_id, status)])
        before = world.database.run(ROW, id=delivery_id), world.attempts(event)
        url = world.database.run(FIND, id=event.payment_id)[0][1]
        with world.database.transaction() as transaction:
            assert attempts.start(transaction, [AttemptKey(delivery_id, 2)]) == set()
            deliveries.postpone(transaction, [Postponement(delivery_id, 5)])
            deliveries.end_gone(transaction, [PaymentUrl(event.payment_id, url)])
            assert deliveries.lock_due(transaction, [delivery_id], [delivery_id]) == []
        assert (world.database.run(ROW, id=delivery_id), world.attempts(event)) == before


class TestAttempts:
    @pytest.mark.parametrize("status", [DeliveryStatus.DELIVERED, DeliveryStatus.FAILED])
    def test_an_answer_is_not_overwritten(
        self, world: DeliveryWorld, event: Event, delivery_id: UUID, status: DeliveryStatus
    ) -> None:
        with world.database.transaction() as transaction:
            attempts.finish(transaction, [ended(delivery_id, status)])
        before = world.attempts(event)
        with world.database.transaction() as transaction:
            attempts.finish(transaction, [failed(delivery_id)])
        assert world.attempts(event) == before

    @pytest.mark.parametrize("number", [1, 3])
    def test_only_the_next_one_starts(self, world: DeliveryWorld, event: Event, delivery_id: UUID, number: int) -> None:
        with world.database.transaction() as transaction:
            assert attempts.start(transaction, [AttemptKey(delivery_id, number)]) == set()
        assert world.attempts(event) == [[1, "started", None, None]]
        assert world.deliveries(event) == [["pending", 1]]

    def test_those_before_the_next_one_are_interrupted_unless_they_were_answered(
        self, world: DeliveryWorld, event: Event, delivery_id: UUID
    ) -> None:
        with world.database.transaction() as transaction:
            attempts.finish(transaction, [failed(delivery_id)])
            for number in (2, 3):
                attempts.start(transaction, [AttemptKey(delivery_id, number)])
            attempts.close_interrupted(transaction, [AttemptKey(delivery_id, 3)])
        assert world.attempts(event) == [
            [1, "failed", 500, None],
            [2, "failed", None, "interrupted"],
            [3, "started", None, None],
        ]
