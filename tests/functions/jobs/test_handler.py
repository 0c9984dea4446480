"""The jobs function as Lambda calls it, with a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from uuid_utils.compat import uuid7

from jobs import handler as jobs
from local.testkit.live import eventually
from local.testkit.notifications import NotificationWorld
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows
from local.testkit.queues import put, take_all
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, QueueMissing
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.dead_letters.record import record_dead_letters
from paybridge.notifications.domain.answers import NotSent
from paybridge.outbox import store as outbox
from paybridge.rabbitmq.depths import AmqpQueueDepths
from paybridge.wiring import broker
from paybridge.wiring.settings import Settings
from tests.support.dead_letters import raw, rows
from tests.support.metrics import EmptyQueues, metrics_of, of

pytestmark = pytest.mark.integration

PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, database: Database) -> MovableClock:
    """The clock of the function, which is wired to the test's database."""
    clock = MovableClock()
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    monkeypatch.setattr(broker, "queue_depths", EmptyQueues)
    variables = {"ENVIRONMENT_NAME": "test", "STUCK_AFTER_SECONDS": "60"}
    monkeypatch.setattr(wiring, "environment", lambda: Settings(variables))
    return clock


def call() -> dict[str, int]:
    return jobs.handler({}, None)  # type: ignore[arg-type]


class TestMetrics:
    def test_outbox_payments_and_queues_are_measured(
        self,
        database: Database,
        clock: MovableClock,
        vhost: Vhost,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(broker, "queue_depths", lambda: AmqpQueueDepths(vhost.amqp_url))
        database.run(PUBLISH_ALL)
        new_payment(database, new_merchant(database))
        monkeypatch.setattr(broker, "rabbitmq_url", lambda: vhost.amqp_url)
        asyncio.run(put(vhost.amqp_url, "payments.dead", b"x"))
        record_dead_letters(DeadLetterServices(database, clock, Uuid7Ids()), [raw(b"a"), raw(b"b")])
        clock.ahead = timedelta(hours=2)

        def measured() -> dict[str, int] | None:
            caplog.clear()
            done = call()
            return done if done["queued"] == 1 else None

        # To the broker a queue is empty whose leader does not answer it within 250 ms.
        done = eventually(measured, "a message of payments.dead")
        emitted = metrics_of(caplog.records)
        (age,) = emitted.pop(("OutboxAge", of("test")))
        assert 0 < age < 60
        emitted.pop(("PartitionDaysLeft", of("test")))
        assert emitted == {
            ("CircuitOpen", of("test")): [0.0],
            ("OutboxDue", of("test")): [1.0],
            # Old, although its message is in flight.
            ("StuckPayments", of("test")): [1.0],
            ("OpenOperations", of("test")): [0.0],
            ("DeadLetters", of("test")): [2.0],
            ("QueueDepth", of("test", Queue="payments.new")): [0.0],
            ("QueueDepth", of("test", Queue="payments.intake")): [0.0],
            ("QueueDepth", of("test", Queue="webhooks")): [0.0],
            ("QueueDepth", of("test", Queue="webhooks.retry")): [0.0],
            ("QueueDepth", of("test", Queue="notifications")): [0.0],
            ("QueueDepth", of("test", Queue="ledger")): [0.0],
            ("QueueDepth", of("test", Queue="bridge")): [0.0],
            ("QueueDepth", of("test", Queue="payments.dead")): [1.0],
        }
        assert done.items() >= {"outbox_due": 1, "stuck_payments": 1, "queued": 1, "dead_letters": 2}.items()

    def test_a_dead_letter_that_no_invocation_takes_is_recorded(
        self, database: Database, clock: MovableClock, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "queue_depths", lambda: AmqpQueueDepths(vhost.amqp_url))
        monkeypatch.setattr(broker, "rabbitmq_url", lambda: vhost.amqp_url)
        large = b"\x00" * 7 * 1024 * 1024
        asyncio.run(put(vhost.amqp_url, "payments.dead", large, message_id="large"))
        assert call()["left_dead_letters"] == 1
        assert {row["message_id"]: len(row["body"]) for row in rows(database)}["large"] == 2 + 2 * len(large)
        assert asyncio.run(take_all(vhost.amqp_url, "payments.dead")) == []

    def test_without_a_broker_the_database_is_measured_and_the_invocation_fails(
        self,
        database: Database,
        clock: MovableClock,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(broker, "queue_depths", lambda: AmqpQueueDepths("amqp://guest:guest@127.0.0.1:1"))
        with pytest.raises(BrokerUnavailable):
            call()
        assert {name for name, _ in metrics_of(caplog.records)} == {
            "OutboxAge",
            "OutboxDue",
            "StuckPayments",
            "OpenOperations",
            "DeadLetters",
            "PartitionDaysLeft",
            "CircuitOpen",
        }

    def test_a_missing_queue_fails_the_invocation_after_the_others_are_measured(
        self,
        database: Database,
        clock: MovableClock,
        vhost: Vhost,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        asyncio.run(delete_queue(vhost.amqp_url, "webhooks.retry"))
        monkeypatch.setattr(broker, "queue_depths", lambda: AmqpQueueDepths(vhost.amqp_url))
        with pytest.raises(QueueMissing, match=r"no queue webhooks\.retry: apply"):
            call()
        queues = {dict(dimensions).get("Queue") for _, dimensions in metrics_of(caplog.records)}
        assert queues == {
            None,
            "payments.new",
            "payments.intake",
            "webhooks",
            "notifications",
            "ledger",
            "bridge",
            "payments.dead",
        }


async def delete_queue(amqp_url: str, queue: str) -> None:
    async with await aio_pika.connect(amqp_url) as connection:
        await (await connection.channel()).queue_delete(queue)


class TestHandler:
    def test_an_outcome_without_a_webhook_is_requeued_and_logged(
        self, database: Database, clock: MovableClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = new_merchant(database)
        payment_id = new_payment(database, merchant_id, webhook_url="https://receiver.example.com/")
        event = Event(
            id=uuid7(),
            type="payment.succeeded",
            payment_id=payment_id,
            merchant_id=merchant_id,
            correlation_id="card 4111111111111111",
            time=datetime.now(UTC),
            sequence=2,
            data={},
        )
        with database.transaction() as transaction:
            outbox.add(transaction, [event, replace(event, id=uuid7(), type="payment.processing")])
        database.run(PUBLISH_ALL)
        clock.ahead = timedelta(seconds=61)
        done = call()
        assert (done["swept_deliveries"], done["swept_events"]) == (0, 1)
        assert outbox_rows(database, payment_id)[-1]["routing_key"] == "webhooks.retry"
        (line,) = [vars(record) for record in caplog.records if record.message == "re-queued lost events"]
        assert line["webhooks"] == [
            {"id": str(event.id), "payment_id": str(payment_id), "correlation_id": "card [digits]"}
        ]
        assert call()["swept_events"] == 0

    def test_an_sms_whose_process_died_is_counted_as_unclear(
        self, database_address: DatabaseAddress, clock: MovableClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(NotificationWorld(database_address)) as world:
            merchant_id = world.merchant()
            world.email.answers, world.sms.answers = [NotSent("Throttling")], [NotSent("Throttling")]
            asyncio.run(world.notify(world.event(merchant_id)))
            world.die_sending(merchant_id)
            done = call()
            assert world.statuses(merchant_id) == [("email", "pending", 2), ("sms", "unclear", 2)]
        assert done["swept_notifications"] == 2
        emitted = metrics_of(caplog.records)
        assert emitted["Notifications", of("test", Result="unclear")] == [1.0]
        assert emitted["Notifications", of("test")] == [1.0]
        caplog.clear()
        call()
        assert ("Notifications", of("test")) not in metrics_of(caplog.records)
