"""The relay between a real database and a real broker."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from paybridge.adapters.rabbitmq.publisher import RabbitPublisher, open_publisher
from paybridge.domain.errors import Unavailable
from paybridge.store.database import Database, DatabaseAddress, Statement
from paybridge.usecases.events.drain import Drain, Drained, drain_outbox
from paybridge.usecases.events.relay import Refusal, relay_once
from tests.support.payments import new_merchant, new_payment, outbox_rows
from tests.support.queues import take_all
from tests.support.servers import Broker, Postgres, Vhost, address_of

pytestmark = pytest.mark.integration

_MISROUTE = Statement("UPDATE outbox SET routing_key = 'nowhere' WHERE payment_id = :id::uuid")

_TO_NO_EXCHANGE = Statement("UPDATE outbox SET exchange = 'no.such.exchange' WHERE payment_id = :id::uuid")


class Observer:
    """Keeps what the drain reports."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.outages: list[Unavailable] = []

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def outage(self, error: Unavailable) -> None:
        self.outages.append(error)


@pytest.fixture
def address(postgres_server: Postgres) -> Iterator[DatabaseAddress]:
    """An empty outbox for each test."""
    url = postgres_server.fresh_database()
    yield address_of(url)
    postgres_server.drop_database(url)


@pytest.fixture
def database(address: DatabaseAddress) -> Iterator[Database]:
    database = Database(address)
    yield database
    database.close()


def accept(database: Database, count: int) -> list[uuid.UUID]:
    merchant_id = new_merchant(database)
    return [new_payment(database, merchant_id) for _ in range(count)]


async def drain(database: Database, amqp_url: str, seconds: float, observer: Observer | None = None) -> Drained:
    deadline = time.monotonic() + seconds
    return await drain_outbox(
        Drain(
            database=database,
            open_publisher=lambda: open_publisher(amqp_url),
            batch_rows=50,
            idle_poll_seconds_max=0.1,
            remaining_seconds=lambda: deadline - time.monotonic(),
            observer=observer or Observer(),
        )
    )


def subjects(bodies: list[bytes]) -> list[str]:
    return sorted(json.loads(body)["subject"] for body in bodies)


class TestRelayOnce:
    async def test_due_rows_arrive_once_and_are_marked(self, database: Database, vhost: Vhost) -> None:
        payments = accept(database, 3)
        async with open_publisher(vhost.amqp_url) as publisher:
            relayed = await relay_once(database, publisher, 100, lambda _: None)
            again = await relay_once(database, publisher, 100, lambda _: None)
        assert (relayed.claimed, relayed.refused, again.claimed) == (3, 0, 0)
        got = await take_all(vhost.amqp_url, "payments.new")
        assert subjects([one.body for one in got]) == sorted(map(str, payments))

    async def test_the_message_carries_its_ids(self, database: Database, vhost: Vhost) -> None:
        (payment_id,) = accept(database, 1)
        async with open_publisher(vhost.amqp_url) as publisher:
            await relay_once(database, publisher, 100, lambda _: None)
        (got,) = await take_all(vhost.amqp_url, "payments.new")
        (row,) = outbox_rows(database, payment_id)
        envelope = json.loads(got.body)
        assert got.message_id == envelope["id"] == row["id"]
        assert got.correlation_id == envelope["correlationid"] == row["correlation_id"]
        assert got.content_type == "application/cloudevents+json"
        assert got.type == envelope["type"] == "payment.created"

    async def test_a_row_of_the_future_waits(self, database: Database, vhost: Vhost) -> None:
        accept(database, 1)
        database.run(Statement("UPDATE outbox SET available_at = now() + interval '1 hour'"))
        async with open_publisher(vhost.amqp_url) as publisher:
            assert (await relay_once(database, publisher, 100, lambda _: None)).claimed == 0

    async def test_an_unroutable_row_stays_with_its_reason_and_the_rest_goes(
        self, database: Database, vhost: Vhost
    ) -> None:
        lost, *fine = accept(database, 3)
        database.run(_MISROUTE, id=lost)
        refusals: list[Refusal] = []
        async with open_publisher(vhost.amqp_url) as publisher:
            relayed = await relay_once(database, publisher, 100, refusals.append)
            assert (relayed.claimed, relayed.refused) == (3, 1)
            assert (await relay_once(database, publisher, 100, refusals.append)).claimed == 0
        (row,) = outbox_rows(database, lost)
        assert (row["published_at"], row["attempts"]) == (None, 1)
        assert "unroutable" in row["last_error"]
        assert row["available_at"] > row["created_at"]
        assert [refusal.event_id for refusal in refusals] == [row["id"]]
        got = await take_all(vhost.amqp_url, "payments.new")
        assert subjects([one.body for one in got]) == sorted(map(str, fine))

    async def test_a_row_for_an_exchange_that_is_not_there_does_not_hold_up_the_rest(
        self, database: Database, vhost: Vhost
    ) -> None:
        # The broker answers an unknown exchange by closing the channel, with every message that is on its way.
        lost, *fine = accept(database, 50)
        database.run(_TO_NO_EXCHANGE, id=lost)
        refusals: list[Refusal] = []
        async with open_publisher(vhost.amqp_url) as publisher:
            relayed = await relay_once(database, publisher, 100, refusals.append)
            new = accept(database, 1)
            again = await relay_once(database, publisher, 100, refusals.append)
        assert (relayed.claimed, relayed.refused, again.claimed, again.refused) == (50, 1, 1, 0)
        (row,) = outbox_rows(database, lost)
        assert (row["published_at"], row["attempts"]) == (None, 1)
        assert "ChannelNotFoundEntity" in row["last_error"]
        got = await take_all(vhost.amqp_url, "payments.new")
        assert set(subjects([one.body for one in got])) == {str(id_) for id_ in [*fine, *new]}

    async def test_a_message_the_broker_refuses_stays(self, database: Database, broker: Broker) -> None:
        # A full queue with reject-publish nacks: the broker says no, and the row must not count as published.
        vhost = broker.fresh_vhost()
        limit_length(vhost, "payments.new", 1)
        accept(database, 20)
        async with open_publisher(vhost.amqp_url) as publisher:
            for _ in range(20):
                await relay_once(database, publisher, 1, lambda _: None)
        refused = database.run(Statement("SELECT count(*) FROM outbox WHERE last_error = 'refused by the broker'"))
        published = database.run(Statement("SELECT count(*) FROM outbox WHERE published_at IS NOT NULL"))
        got = await take_all(vhost.amqp_url, "payments.new")
        assert refused[0][0] > 0
        assert published[0][0] == len(got) == 20 - refused[0][0]

    async def test_a_large_body_is_split_into_frames(self, database: Database, vhost: Vhost) -> None:
        merchant_id = new_merchant(database)
        metadata = {f"key-{number}": "ö" * 20_000 for number in range(20)}
        new_payment(database, merchant_id, metadata=metadata)
        async with open_publisher(vhost.amqp_url) as publisher:
            assert (await relay_once(database, publisher, 10, lambda _: None)).refused == 0
        (got,) = await take_all(vhost.amqp_url, "payments.new")
        assert json.loads(got.body)["data"]["metadata"] == metadata


class TestSeveralRelays:
    async def test_side_by_side_they_publish_every_row_once(
        self, database: Database, address: DatabaseAddress, vhost: Vhost
    ) -> None:
        payments = accept(database, 400)
        relays = [Database(address) for _ in range(3)]
        drained = await asyncio.gather(*(drain(relay, vhost.amqp_url, 3) for relay in relays))
        for relay in relays:
            relay.close()
        assert sum(one.published for one in drained) == 400
        got = await take_all(vhost.amqp_url, "payments.new")
        assert subjects([one.body for one in got]) == sorted(map(str, payments))

    async def test_a_relay_that_dies_before_its_commit_loses_nothing(self, database: Database, vhost: Vhost) -> None:
        accept(database, 5)
        with pytest.raises(KeyboardInterrupt):
            async with open_publisher(vhost.amqp_url) as publisher:
                await relay_once(database, DyingPublisher(publisher), 100, lambda _: None)
        assert (await drain(database, vhost.amqp_url, 1)).published == 5


class TestDrain:
    async def test_it_ends_when_its_time_is_up(self, database: Database, vhost: Vhost) -> None:
        started = time.monotonic()
        await drain(database, vhost.amqp_url, 0.5)
        assert 0.4 < time.monotonic() - started < 5

    async def test_an_outage_of_the_broker_only_delays(self, database: Database, broker: Broker) -> None:
        vhost = broker.fresh_vhost()
        accept(database, 5)
        observer = Observer()
        broker.stop()
        try:
            await drain(database, vhost.amqp_url, 1, observer)
        finally:
            broker.start()
        assert observer.outages
        assert (await drain(database, vhost.amqp_url, 5)).published == 5
        assert len(await take_all(vhost.amqp_url, "payments.new")) == 5

    async def test_a_lost_connection_is_opened_again(self, database: Database, vhost: Vhost) -> None:
        opened = 0

        @asynccontextmanager
        async def counted() -> AsyncIterator[RabbitPublisher]:
            nonlocal opened
            opened += 1
            async with open_publisher(vhost.amqp_url) as publisher:
                if opened == 1:
                    await publisher._connection.close()
                yield publisher

        accept(database, 2)
        deadline = time.monotonic() + 3
        drained = await drain_outbox(
            Drain(
                database=database,
                open_publisher=counted,
                batch_rows=50,
                idle_poll_seconds_max=0.1,
                remaining_seconds=lambda: deadline - time.monotonic(),
                observer=Observer(),
            )
        )
        assert (opened, drained.published) == (2, 2)


class DyingPublisher:
    """Publishes, and dies before anybody hears of it."""

    def __init__(self, publisher: RabbitPublisher) -> None:
        self._publisher = publisher

    async def publish(self, *arguments: object) -> list[str | None]:
        publish: Callable[..., object] = self._publisher.publish
        await publish(*arguments)  # type: ignore[misc]
        raise KeyboardInterrupt


def limit_length(vhost: Vhost, queue: str, messages: int) -> None:
    import httpx

    definition = {"max-length": messages, "overflow": "reject-publish"}
    httpx.put(
        f"{vhost.management_url}/api/policies/{vhost.name}/full",
        json={"pattern": f"^{queue}$", "apply-to": "queues", "priority": 100, "definition": definition},
        auth=("guest", "guest"),
        trust_env=False,
    ).raise_for_status()
