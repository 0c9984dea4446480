"""The notifier function as Lambda calls it, with a real database and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import orjson
import pytest

from local.testkit.notifications import MAKE_DUE, SENDER, NotificationWorld
from local.testkit.queues import take_all
from local.testkit.rmq import rmq_event
from local.testkit.servers import Vhost
from notifier import handler as notifier
from paybridge import wiring
from paybridge.access.find_contacts import find_contacts
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import SEND_NOTIFICATION, Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement, Transaction
from paybridge.notifications import notify
from paybridge.notifications.domain.answers import Accepted, Answer, NotSent, OutcomeUnclear
from paybridge.notifications.domain.notification import Channel, notifications_of
from paybridge.notifications.store import notifications
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring import notifications as notification_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = [pytest.mark.integration, pytest.mark.broker]

SETTINGS = {
    "ENVIRONMENT_NAME": "test",
    "NOTIFICATION_SENDER": SENDER,
    "NOTIFICATION_SMS": "on",
    "NOTIFICATION_RETRY_DELAYS_SECONDS": "60,120",
}

REFUSE = Statement("ALTER TABLE notifications ADD CONSTRAINT of_a_test CHECK (recipient <> 'Refused')")
REFUSE_NO_MORE = Statement("ALTER TABLE notifications DROP CONSTRAINT of_a_test")
HOLD_EMAIL = Statement("SELECT id FROM notifications WHERE merchant_id = :id::uuid AND channel = 'email' FOR UPDATE")


@pytest.fixture
def world(database_address: DatabaseAddress) -> Iterator[NotificationWorld]:
    world = NotificationWorld(database_address)
    yield world
    world.close()


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, world: NotificationWorld, vhost: Vhost) -> None:
    """Wire the function to the test's servers and providers."""
    monkeypatch.setattr(wiring, "database", lambda: world.database)
    monkeypatch.setattr(wiring, "environment", lambda: Settings(SETTINGS))
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)
    monkeypatch.setattr(notification_wiring, "email_sender", lambda: world.email)
    monkeypatch.setattr(notification_wiring, "sms_sender", lambda _: world.sms)


def call(*events: Event | bytes) -> dict[str, int]:
    bodies = [event if isinstance(event, bytes) else orjson.dumps(event.envelope()) for event in events]
    return notifier.handler(rmq_event("notifications", bodies), None)  # type: ignore[arg-type]


def dead(vhost: Vhost) -> list[Any]:
    return asyncio.run(take_all(vhost.amqp_url, "payments.dead"))


class TestHandler:
    def test_a_batch_is_told_and_counted(self, world: NotificationWorld, caplog: pytest.LogCaptureFixture) -> None:
        merchant_id, silent_id = world.merchant(), world.merchant("refund.*")
        world.sms.answers = [OutcomeUnclear("ReadTimeoutError")]
        done = call(world.event(merchant_id), world.event(silent_id))
        assert done == {"messages": 2, "notifications": 2, "locked": 0, "poison": 0}
        assert world.statuses(merchant_id) == [("email", "sent", 1), ("sms", "unclear", 1)]
        assert metrics_of(caplog.records) == {
            ("Notifications", of("test")): [2.0],
            ("Notifications", of("test", Result="sent")): [1.0],
            ("Notifications", of("test", Result="unclear")): [1.0],
        }
        assert "pay@merchant.example" not in caplog.text

    def test_an_sms_whose_process_died_is_counted_as_unclear(
        self, world: NotificationWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = world.merchant()
        event = world.event(merchant_id)
        world.email.answers, world.sms.answers = [NotSent("Throttling")], [NotSent("Throttling")]
        call(event)
        world.die_sending(merchant_id)
        caplog.clear()
        call(event)
        assert world.statuses(merchant_id) == [("email", "sent", 3), ("sms", "unclear", 2)]
        assert metrics_of(caplog.records) == {
            ("Notifications", of("test")): [2.0],
            ("Notifications", of("test", Result="sent")): [1.0],
            ("Notifications", of("test", Result="unclear")): [1.0],
        }

    def test_what_one_channel_sent_is_told_though_the_other_fails(
        self,
        world: NotificationWorld,
        database_address: DatabaseAddress,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(notify, "RECORD_TRIES", 1)
        merchant_id = world.merchant()
        with ExitStack() as held:

            def hold() -> Answer:
                transaction = held.enter_context(held.enter_context(closing(Database(database_address))).transaction())
                transaction.run(HOLD_EMAIL, id=merchant_id)
                return Accepted("held")

            world.email.answers = [hold]
            call(world.event(merchant_id))
        assert world.statuses(merchant_id) == [("email", "sending", 1), ("sms", "sent", 1)]
        told = [vars(record)["notifications"] for record in caplog.records if record.message == "sent notifications"]
        assert [each["channel"] for line in told for each in line] == ["sms"]
        assert metrics_of(caplog.records)["Notifications", of("test", Result="sent")] == [1.0]

    def test_a_retry_goes_on_with_its_notification(self, world: NotificationWorld) -> None:
        merchant_id = world.merchant(phone=None)
        world.email.answers = [NotSent("Throttling")]
        call(world.event(merchant_id))
        (command,) = world.commands(merchant_id)
        call(command)
        assert world.statuses(merchant_id) == [("email", "pending", 1)]
        world.database.run(MAKE_DUE)
        call(command)
        assert world.statuses(merchant_id) == [("email", "sent", 2)]

    def test_poison_is_dead_lettered_and_the_others_are_told(self, world: NotificationWorld, vhost: Vhost) -> None:
        merchant_id = world.merchant()
        nameless = world.event(merchant_id, SEND_NOTIFICATION, data={"notification_id": "none"}, sequence=None)
        nul = world.event(merchant_id, correlation_id="a\x00b")
        done = call(b"{", nameless, nul, world.event(merchant_id, "payment.exploded"), world.event(merchant_id))
        assert (done["poison"], done["notifications"]) == (4, 2)
        reasons = [one.headers["x-paybridge-reason"] for one in dead(vhost)]
        assert any("names no notification" in reason for reason in reasons)
        assert any("NUL" in reason for reason in reasons)
        assert any("unknown type" in reason for reason in reasons)

    def test_what_the_database_refuses_is_dead_lettered(self, world: NotificationWorld, vhost: Vhost) -> None:
        refused_id, good_id = world.merchant(name="Refused"), world.merchant()
        world.database.run(REFUSE)
        try:
            assert call(world.event(refused_id), world.event(good_id))["poison"] == 1
        finally:
            world.database.run(REFUSE_NO_MORE)
        (letter,) = dead(vhost)
        assert letter.headers["x-paybridge-reason"] == "ConstraintViolated"
        assert {status for _, status, _ in world.statuses(good_id)} == {"sent"}

    def test_a_locked_event_returns_to_its_queue(
        self, world: NotificationWorld, vhost: Vhost, database_address: DatabaseAddress
    ) -> None:
        merchant_id, free_id = world.merchant(), world.merchant()
        event = world.event(merchant_id)
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            uncommitted(transaction, event)
            done = call(event, world.event(free_id))
        assert (done["locked"], done["poison"], done["notifications"]) == (1, 0, 2)
        (returned,) = asyncio.run(take_all(vhost.amqp_url, "notifications"))
        assert orjson.loads(returned.body)["id"] == str(event.id)

    def test_an_invocation_of_another_kind_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            notifier.handler({"Records": []}, None)  # type: ignore[arg-type]


def uncommitted(transaction: Transaction, event: Event) -> None:
    """Insert the event's notifications, as another process has that hangs before its commit."""
    merchant = find_contacts(transaction, [event.merchant_id])[event.merchant_id]
    notifications.insert(transaction, notifications_of(event, merchant, [*Channel]))
