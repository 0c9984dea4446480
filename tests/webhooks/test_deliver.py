"""Delivering webhooks: real PostgreSQL, real HTTP, real receivers."""

from __future__ import annotations

import json
import uuid

import pytest

from local.testkit.payments import WEBHOOK_SECRET
from local.testkit.webhooks import SLOW, DeliveryWorld
from paybridge.core.events import DELIVER_WEBHOOK, REFUND_SUBJECT
from paybridge.outbox import store as outbox
from paybridge.webhooks.domain.webhook import delivery_id
from paybridge.webhooks.lanes import fast_lane
from tests.support.event_schemas import check_event
from tests.support.webhook_senders import StubSender, answered

pytestmark = pytest.mark.integration


class TestDelivery:
    async def test_an_event_arrives_signed_and_every_step_is_on_record(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        reports = await world.deliver(event)
        assert [(report.outcome, report.attempt) for report in reports] == [("delivered", 1)]
        assert world.deliveries(event) == [["delivered", 1]]
        assert world.attempts(event) == [[1, "delivered", 200, None]]
        (received,) = world.received(event)
        assert received["verified"]
        assert received["headers"]["webhook-id"] == str(event.id)
        assert received["headers"]["x-correlation-id"] == "corr-1"
        assert received["headers"]["content-type"] == "application/json"
        assert received["headers"]["user-agent"] == "Paybridge"
        assert received["body"] == {
            "type": "payment.succeeded",
            "timestamp": event.time.isoformat(),
            "data": {**event.data, "sequence": 3},
        }

    async def test_an_event_without_url_goes_to_the_payments_url(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/ok", type="refund.succeeded", data={})
        await world.deliver(event)
        assert world.deliveries(event) == [["delivered", 1]]

    async def test_the_events_of_a_refund_have_its_sequence(self, world: DeliveryWorld) -> None:
        refund_id = uuid.uuid4()
        event = world.event(
            world.merchant(),
            "/ok",
            type="refund.succeeded",
            subject_type=REFUND_SUBJECT,
            subject_id=refund_id,
            sequence=2,
            data={"refund_id": str(refund_id), "amount": "30.00"},
        )
        await world.deliver(event)
        assert world.deliveries(event) == [["delivered", 1]]
        body = json.loads(world.bodies(event)[0])
        assert body["data"] == {"refund_id": str(refund_id), "amount": "30.00", "sequence": 2}

    async def test_a_refund_event_that_never_became_a_delivery_is_made_up_for(self, world: DeliveryWorld) -> None:
        """The jobs function names it by its id alone, and the rest is read from the outbox."""
        event = world.event(
            world.merchant(), "/ok", type="refund.failed", subject_type=REFUND_SUBJECT, subject_id=uuid.uuid4(), data={}
        )
        with world.database.transaction() as transaction:
            outbox.add(transaction, [event])
        command = world.fact(
            event.payment_id, event.merchant_id, type=DELIVER_WEBHOOK, sequence=None, data={"event_id": str(event.id)}
        )
        await world.deliver(command)
        assert world.deliveries(event) == [["delivered", 1]]

    async def test_the_url_of_another_merchants_payment_is_not_used(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        foreign = world.fact(event.payment_id, world.merchant())
        assert await world.deliver(foreign) == []

    async def test_a_payment_without_url_gets_no_delivery(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), None)
        assert await world.deliver(event) == []
        assert world.deliveries(event) == []

    async def test_a_redelivered_message_changes_nothing(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/ok")
        await world.deliver(event, event)
        assert await world.deliver(event) == []
        assert len(world.received(event)) == 1

    async def test_both_secrets_of_a_rotation_sign(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant("whsec_" + "QUJD" * 10, WEBHOOK_SECRET), "/ok")
        await world.deliver(event)
        assert [received["verified"] for received in world.received(event)] == [True]

    async def test_a_malformed_secret_is_a_failed_attempt(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant("nonsense"), "/ok")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "invalid_secret"]]
        assert world.deliveries(event) == [["pending", 1]]

    async def test_a_batch_of_hundreds_is_delivered_whole(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        events = [world.event(merchant_id, "/ok") for _ in range(300)]
        reports = await world.deliver(*events, lane=fast_lane(60))
        assert {report.outcome for report in reports} == {"delivered"}
        assert len(reports) == 300


class TestRetries:
    async def test_the_schedule_is_followed_to_its_end(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/status/500")
        await world.deliver(event)
        for number, delay in enumerate((100, 200, 400), start=2):
            entry = world.outbox(event)[-1]
            assert (entry.message.type, entry.exchange, entry.routing_key) == (
                DELIVER_WEBHOOK,
                "payments",
                "webhooks",
            )
            assert entry.message.data == {
                "delivery_id": str(delivery_id(event.id, world.sink + "/status/500")),
                "attempt": number,
            }
            assert delay - 60 < entry.delay_seconds <= delay
            await world.deliver(world.command(event))
        assert world.attempts(event) == [[number, "failed", 500, None] for number in (1, 2, 3, 4)]
        assert world.deliveries(event) == [["failed", 4]]

    async def test_the_end_of_the_schedule_becomes_a_fact_of_the_payment(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/status/500")
        await world.deliver(event, delays=())
        (entry,) = world.outbox(event)
        fact = entry.message
        assert (fact.type, entry.exchange, fact.sequence) == ("webhook.exhausted", None, 2)
        assert fact.data["event_id"] == str(event.id)
        assert fact.data["attempts"] == 1
        check_event(fact)

    async def test_two_give_ups_of_one_payment_have_different_sequence_numbers(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/status/500")
        other = world.fact(event.payment_id, event.merchant_id, data=event.data)
        await world.deliver(event, other, delays=())
        assert sorted(entry.message.sequence or 0 for entry in world.outbox(event)) == [2, 3]

    async def test_a_retry_carries_the_same_id_and_body(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/fail-times/1/x")
        await world.deliver(event)
        await world.deliver(world.command(event), lane=SLOW)
        first, second = world.received(event)
        assert first["headers"]["webhook-id"] == second["headers"]["webhook-id"]
        assert first["body"] == second["body"]
        assert world.deliveries(event) == [["delivered", 2]]

    async def test_a_command_that_is_early_or_redelivered_changes_nothing(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/fail-times/1/y")
        await world.deliver(event)
        early = world.outbox(event)[-1].message
        assert await world.deliver(early, lane=SLOW) == []
        command = world.command(event)
        await world.deliver(command, lane=SLOW)
        assert await world.deliver(command, lane=SLOW) == []
        assert len(world.received(event)) == 2

    async def test_a_redelivered_event_leaves_the_retry_alone(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/fail-times/1/z")
        await world.deliver(event)
        world.command(event)
        assert await world.deliver(event) == []
        assert len(world.received(event)) == 1

    async def test_retry_after_postpones_the_retry(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/retry-after/300")
        await world.deliver(event)
        assert 240 < world.outbox(event)[-1].delay_seconds <= 300
        assert world.attempts(event) == [[1, "failed", 429, None]]

    async def test_a_redirect_is_a_failure_and_not_followed(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/redirect")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", 302, None]]
        assert [received["path"] for received in world.received(event)] == ["/redirect"]

    async def test_a_url_that_is_not_allowed_is_given_up_at_once(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "http://user@127.0.0.1/")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "url_not_allowed"]]
        assert world.deliveries(event) == [["failed", 1]]

    async def test_a_private_address_is_not_reached(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "https://169.254.169.254/latest/meta-data")
        await world.deliver(event)
        assert world.attempts(event) == [[1, "failed", None, "address_not_allowed"]]


class TestGone:
    async def test_410_ends_the_deliveries_of_the_payment_to_that_url(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id, "/gone")
        waiting = world.fact(event.payment_id, merchant_id, data=event.data)
        await world.deliver(waiting, sender=StubSender(answered(500)))
        await world.deliver(event)
        later = world.fact(event.payment_id, merchant_id, data=event.data)
        assert await world.deliver(later) == []
        assert await world.deliver(world.command(event), lane=SLOW) == []
        assert [status for status, _ in world.deliveries(event)] == ["gone", "gone"]

    async def test_another_url_of_the_payment_still_gets_its_events(self, world: DeliveryWorld) -> None:
        event = world.event(world.merchant(), "/gone")
        await world.deliver(event)
        elsewhere = {**event.data, "webhook_url": f"{world.sink}/ok"}
        (report,) = await world.deliver(world.fact(event.payment_id, event.merchant_id, data=elsewhere))
        assert report.outcome == "delivered"

    async def test_other_payments_still_go_there(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        await world.deliver(world.event(merchant_id, "/gone"))
        other = world.event(merchant_id, "/gone")
        await world.deliver(other)
        assert len(world.received(other)) == 1
