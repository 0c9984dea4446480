"""The safety net of webhooks: stalled deliveries, and events that never became one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from local.testkit.locks import held
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.webhooks.change_endpoint import change_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from paybridge.webhooks.deliver import deliver_webhooks
from paybridge.webhooks.domain.endpoint import Endpoint
from paybridge.webhooks.lanes import fast_lane, slow_lane
from paybridge.webhooks.ports import WebhookServices
from paybridge.webhooks.send_test import send_test
from paybridge.webhooks.store.deliveries import NewDelivery
from paybridge.webhooks.sweep import SweptWebhooks, sweep_webhooks
from tests.support.webhook_senders import Crash, StubSender, answered

pytestmark = pytest.mark.integration

STALLED_AFTER_SECONDS = 60
URL = "https://receiver.example.com/hook"

PUBLISH_ALL = Statement("UPDATE outbox SET published_at = clock_timestamp() WHERE published_at IS NULL")
DELIVERIES = Statement("SELECT status FROM webhook_deliveries WHERE payment_id = :id::uuid")
# As an hour ago: when the delivery was due, its attempts began, and what is about it was published.
LONG_DUE = Statement("""
    UPDATE webhook_deliveries SET next_attempt_at = now() - interval '1 hour' WHERE payment_id = :id::uuid
""")
LONG_STARTED = Statement("""
    UPDATE webhook_attempts a SET started_at = a.started_at - interval '1 hour' FROM webhook_deliveries d
    WHERE d.payment_id = :id::uuid AND a.delivery_id = d.id
""")
LONG_PUBLISHED = Statement("""
    UPDATE outbox SET published_at = published_at - interval '1 hour' WHERE payment_id = :id::uuid
""")
MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE payment_id = :id::uuid")

COMMANDS_OF_ENDPOINT = Statement(
    "SELECT body FROM outbox WHERE subject_id = :id::uuid AND sequence IS NULL ORDER BY id"
)


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


def with_endpoint(database: Database) -> tuple[UUID, Endpoint]:
    """Return a new merchant and its endpoint for every event."""
    merchant_id = new_merchant(database)
    made = create_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, EndpointOrder(url=URL, events=("*",)))
    assert made is not None
    return merchant_id, made.endpoint


def newest_command_of(database: Database, endpoint_id: UUID) -> Event:
    rows = database.run(COMMANDS_OF_ENDPOINT, id=endpoint_id)
    return parse_envelope(orjson.loads(rows[-1][0]))


def outcome(database: Database, url: str | None = URL, *, merchant_id: UUID | None = None, **changes: Any) -> Event:
    """Return the published outcome event of a new payment, by default of a new merchant."""
    merchant_id = merchant_id or new_merchant(database)
    payment_id = new_payment(database, merchant_id, webhook_url=url)
    event = Event(
        id=uuid7(),
        type="payment.succeeded",
        payment_id=payment_id,
        merchant_id=merchant_id,
        correlation_id="corr-1",
        time=datetime.now(UTC),
        sequence=3,
        data={"payment_id": str(payment_id), "webhook_url": url},
    )
    event = replace(event, **changes)
    with database.transaction() as transaction:
        outbox.add(transaction, [event])
    database.run(PUBLISH_ALL)
    return event


def deliver(database: Database, *events: Event, answer: int | Crash = 200, is_fast: bool = True) -> list[str]:
    services = WebhookServices(
        database=database,
        sender=StubSender(answer if isinstance(answer, Crash) else answered(answer)),
        clock=SystemClock(),
        ids=Uuid7Ids(),
        retry_delays_seconds=(1.0,),
    )
    lane = fast_lane(1.0) if is_fast else slow_lane(1.0, prompt_seconds=1.0)
    return [report.outcome for report in asyncio.run(deliver_webhooks(services, events, lane))]


def sweep(database: Database, clock: MovableClock) -> SweptWebhooks:
    return sweep_webhooks(database, clock, Uuid7Ids(), STALLED_AFTER_SECONDS)


def swept(database: Database, clock: MovableClock, event: Event) -> int:
    """Return how many deliveries and events of the event's payment are re-queued now."""
    found = sweep(database, clock)
    return sum(subject.payment_id == event.payment_id for subject in [*found.deliveries, *found.events])


def commands(database: Database, payment_id: UUID) -> list[Event]:
    rows = outbox_rows(database, payment_id)
    return [parse_envelope(orjson.loads(row["body"])) for row in rows if row["type"] == DELIVER_WEBHOOK]


def interrupted(database: Database) -> Event:
    """Return an event whose delivery was started by a process that died, and whose message is lost."""
    event = outcome(database)
    with pytest.raises(Crash):
        deliver(database, event, answer=Crash())
    return event


class TestDeliveries:
    def test_a_delivery_whose_message_was_lost_is_requeued_and_arrives(
        self, database: Database, clock: MovableClock
    ) -> None:
        event = interrupted(database)
        assert swept(database, clock, event) == 0
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 1
        (command,) = commands(database, event.payment_id)
        row = outbox_rows(database, event.payment_id)[-1]
        assert (row["exchange"], row["routing_key"]) == ("payments", "webhooks.retry")
        assert deliver(database, command, is_fast=False) == ["delivered"]
        assert swept(database, clock, event) == 0

    def test_a_retry_whose_command_was_lost_is_requeued(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        assert deliver(database, event, answer=500) == ["retry"]
        clock.move(STALLED_AFTER_SECONDS + 5)
        assert swept(database, clock, event) == 0
        database.run(PUBLISH_ALL)
        clock.move(STALLED_AFTER_SECONDS)
        assert swept(database, clock, event) == 1
        database.run(MAKE_DUE, id=event.payment_id)
        assert deliver(database, commands(database, event.payment_id)[-1], is_fast=False) == ["delivered"]

    def test_a_retry_that_is_not_due_is_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        deliver(database, event, answer=500)
        database.run(PUBLISH_ALL)
        assert swept(database, clock, event) == 0

    def test_a_command_in_a_long_queue_is_not_repeated_every_minute(
        self, database: Database, clock: MovableClock
    ) -> None:
        event = interrupted(database)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert [swept(database, clock, event) for _ in range(2)] == [1, 0]
        database.run(PUBLISH_ALL)
        # Published just now by the database's clock, which was not moved.
        clock.ahead = timedelta(seconds=STALLED_AFTER_SECONDS - 30)
        assert swept(database, clock, event) == 0
        assert len(commands(database, event.payment_id)) == 1

    def test_one_that_another_transaction_holds_holds_up_no_other(
        self, database: Database, database_address: DatabaseAddress, clock: MovableClock
    ) -> None:
        locked, other = interrupted(database), interrupted(database)
        clock.move(STALLED_AFTER_SECONDS + 1)
        lock = "SELECT 1 FROM webhook_deliveries WHERE payment_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=locked.payment_id):
            found = {delivery.payment_id for delivery in sweep(database, clock).deliveries}
        assert (locked.payment_id in found, other.payment_id in found) == (False, True)

    def test_an_attempt_that_may_still_be_running_is_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        deliver(database, event, answer=500)
        database.run(PUBLISH_ALL)
        database.run(MAKE_DUE, id=event.payment_id)
        with pytest.raises(Crash):
            deliver(database, commands(database, event.payment_id)[-1], answer=Crash(), is_fast=False)
        for statement in (LONG_DUE, LONG_PUBLISHED):
            database.run(statement, id=event.payment_id)
        assert swept(database, clock, event) == 0
        database.run(LONG_STARTED, id=event.payment_id)
        assert swept(database, clock, event) == 1

    def test_a_command_that_was_published_just_now_is_waited_for(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        deliver(database, event, answer=500)
        database.run(PUBLISH_ALL)
        for statement in (LONG_DUE, LONG_STARTED):
            database.run(statement, id=event.payment_id)
        assert swept(database, clock, event) == 0
        database.run(LONG_PUBLISHED, id=event.payment_id)
        assert swept(database, clock, event) == 1

    @pytest.mark.parametrize("answer", [200, 410])
    def test_an_ended_delivery_is_left_alone(self, database: Database, clock: MovableClock, answer: int) -> None:
        event = outcome(database)
        deliver(database, event, answer=answer)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 0


class TestEndpoints:
    def test_a_delivery_about_no_payment_is_requeued_once_and_arrives(
        self, database: Database, clock: MovableClock
    ) -> None:
        merchant_id, found = with_endpoint(database)
        sent = send_test(database, SystemClock(), Uuid7Ids(), merchant_id, found.id)
        assert isinstance(sent, NewDelivery)
        database.run(PUBLISH_ALL)
        clock.move(STALLED_AFTER_SECONDS + 5)
        assert sent.id in {delivery.id for delivery in sweep(database, clock).deliveries}
        assert sent.id not in {delivery.id for delivery in sweep(database, clock).deliveries}
        command = newest_command_of(database, found.id)
        assert deliver(database, command, is_fast=False) == ["delivered"]

    def test_an_event_that_never_reached_an_endpoint_is_requeued_and_arrives(
        self, database: Database, clock: MovableClock
    ) -> None:
        merchant_id, _ = with_endpoint(database)
        event = outcome(database, url=None, merchant_id=merchant_id)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 1
        (command,) = commands(database, event.payment_id)
        assert deliver(database, command, is_fast=False) == ["delivered"]
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 0

    @pytest.mark.parametrize("changes", [{"status": "disabled"}, {"events": ("refund.*",)}, {"description": "New"}])
    def test_an_event_from_before_a_change_of_the_endpoint_is_left_to_a_recovery(
        self, database: Database, clock: MovableClock, changes: dict[str, Any]
    ) -> None:
        merchant_id, found = with_endpoint(database)
        event = outcome(database, url=None, merchant_id=merchant_id)
        change_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, found.id, changes)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 0


class TestEvents:
    def test_an_event_that_became_no_delivery_is_requeued_and_arrives_unchanged(
        self, database: Database, clock: MovableClock
    ) -> None:
        event = outcome(database)
        assert swept(database, clock, event) == 0
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 1
        assert swept(database, clock, event) == 0
        (command,) = commands(database, event.payment_id)
        assert command.data == {"event_id": str(event.id)}
        assert deliver(database, command, is_fast=False) == ["delivered"]
        assert deliver(database, command, event) == []
        assert database.run(DELIVERIES, id=event.payment_id) == [["delivered"]]
        (fact,) = [row for row in outbox_rows(database, event.payment_id) if row["id"] == str(event.id)]
        assert (fact["type"], fact["sequence"], fact["published_at"] is not None) == ("payment.succeeded", 3, True)

    @pytest.mark.parametrize("hours", [1, 6, 24])
    def test_an_event_lost_late_is_found_later(self, database: Database, clock: MovableClock, hours: float) -> None:
        event = outcome(database)
        clock.move(hours * 3600 + 60)
        assert swept(database, clock, event) == 1

    def test_events_between_the_searched_ages_are_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        clock.move(30 * 60)
        assert swept(database, clock, event) == 0

    def test_an_event_whose_payment_has_no_url_is_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database, url=None)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 0

    def test_an_event_that_waits_in_the_outbox_is_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        database.run(Statement("UPDATE outbox SET published_at = NULL WHERE id = :id::uuid"), id=event.id)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, event) == 0

    def test_an_event_whose_receiver_is_gone_is_left_alone(self, database: Database, clock: MovableClock) -> None:
        event = outcome(database)
        deliver(database, event, answer=410)
        later = replace(event, id=uuid7(), type="refund.succeeded", sequence=4)
        with database.transaction() as transaction:
            outbox.add(transaction, [later])
        database.run(PUBLISH_ALL)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert swept(database, clock, later) == 0
