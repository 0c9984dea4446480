"""Metrics: the age of the outbox, stalled payments and queue depths."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.live import eventually_async
from local.testkit.payments import MovableClock, new_merchant, new_payment
from local.testkit.queues import put
from local.testkit.servers import Postgres, Vhost, address_of
from paybridge.core.errors import BrokerUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.operations import measure
from paybridge.operations.measure import measure_database, measure_queues
from paybridge.outbox.queues import all_queues
from paybridge.rabbitmq.depths import AmqpQueueDepths

pytestmark = pytest.mark.integration

STALLED_AFTER_SECONDS = 60.0
PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")
AGE = Statement("UPDATE outbox SET available_at = now() - interval '90 seconds' WHERE payment_id = :id::uuid")
DELAY = Statement("UPDATE outbox SET available_at = now() + interval '1 hour' WHERE payment_id = :id::uuid")
SETTLE = Statement("UPDATE payments SET status = 'failed', failure_code = 'x' WHERE id = :id::uuid")


@pytest.fixture
def address(postgres_server: Postgres) -> Iterator[DatabaseAddress]:
    """A fresh database, so that counts are exact."""
    url = postgres_server.fresh_database()
    yield address_of(url)
    postgres_server.drop_database(url)


@pytest.fixture
def database(address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(address)) as database:
        yield database


def stalled(database: Database, clock: MovableClock) -> int:
    return measure_database(database, clock, STALLED_AFTER_SECONDS).stalled_payments


class TestOutbox:
    def test_an_empty_outbox_has_no_age(self, database: Database) -> None:
        figures = measure_database(database, MovableClock(), STALLED_AFTER_SECONDS)
        assert (figures.outbox_age_seconds, figures.outbox_due) == (0.0, 0)

    def test_its_age_is_that_of_the_oldest_due_message(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payments = [new_payment(database, merchant_id) for _ in range(3)]
        database.run(AGE, id=payments[1])
        # A message that is not due yet does not count.
        database.run(DELAY, id=payments[2])
        figures = measure_database(database, MovableClock(), STALLED_AFTER_SECONDS)
        assert 90 <= figures.outbox_age_seconds < 100
        assert figures.outbox_due == 2

    def test_counting_stops_at_a_limit(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measure, "COUNTED_MAX", 2)
        merchant_id = new_merchant(database)
        for _ in range(3):
            new_payment(database, merchant_id)
        assert measure_database(database, MovableClock(), STALLED_AFTER_SECONDS).outbox_due == 2


class TestStalledPayments:
    def test_a_stalled_payment_counts_once_it_is_late(self, database: Database) -> None:
        clock = MovableClock()
        new_payment(database, new_merchant(database))
        database.run(PUBLISH_ALL)
        assert stalled(database, clock) == 0
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert stalled(database, clock) == 1

    def test_a_payment_with_a_message_in_flight_counts_once_it_is_old(self, database: Database) -> None:
        clock = MovableClock()
        new_payment(database, new_merchant(database))
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert stalled(database, clock) == 0
        clock.move(measure.OLD_AFTER.total_seconds())
        assert stalled(database, clock) == 1

    def test_a_settled_payment_never_counts(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        database.run(SETTLE, id=payment_id)
        clock.move(2 * measure.OLD_AFTER.total_seconds())
        assert stalled(database, clock) == 0

    def test_only_the_oldest_payments_are_checked(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(measure, "LOOKED_AT_MAX", 2)
        clock = MovableClock()
        merchant_id = new_merchant(database)
        for _ in range(3):
            new_payment(database, merchant_id)
        clock.move(2 * measure.OLD_AFTER.total_seconds())
        assert stalled(database, clock) == 2


class TestQueues:
    async def test_the_messages_of_each_queue_are_counted(self, vhost: Vhost) -> None:
        for queue in ("payments.new", "payments.dead", "payments.dead"):
            await put(vhost.amqp_url, queue, b"x")
        working = ("payments.intake", "webhooks", "webhooks.retry", "notifications", "ledger", "bridge")
        empty = dict.fromkeys(working, 0)
        expected = {"payments.new": 1, **empty, "payments.dead": 2}

        async def measured() -> bool:
            figures = await measure_queues(AmqpQueueDepths(vhost.amqp_url), all_queues(shards=1))
            assert figures.missing == []
            return figures.depths == expected

        # RabbitMQ reports a depth of 0 for a queue whose leader does not answer within 250 ms.
        await eventually_async(lambda: asyncio.run(measured()), f"depths of {expected}")

    async def test_a_missing_queue_is_named_and_hides_no_other(self, vhost: Vhost) -> None:
        figures = await measure_queues(AmqpQueueDepths(vhost.amqp_url), all_queues(shards=2))
        assert figures.missing == ["payments.new.0", "payments.new.1"]
        assert set(figures.depths) == set(all_queues(shards=1))

    async def test_an_unreachable_broker_is_an_outage(self) -> None:
        with pytest.raises(BrokerUnavailable):
            await measure_queues(AmqpQueueDepths("amqp://guest:guest@127.0.0.1:1"), ["payments.new"])
