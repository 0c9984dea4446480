"""The relay between a real database and a real broker."""

from __future__ import annotations

import asyncio
import json
import math
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import datetime
from typing import Any

import pytest

from local.testkit.live import eventually_async
from local.testkit.payments import new_merchant, new_payment, outbox_rows
from local.testkit.queues import take_all
from local.testkit.servers import Broker, Postgres, Vhost, address_of
from paybridge.core.errors import BrokerUnavailable, Unavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Session, Statement
from paybridge.outbox import drain as drain_module
from paybridge.outbox import relay as relay_module
from paybridge.outbox.drain import Drain, Drained, drain_outbox
from paybridge.outbox.ports import Message, Publisher
from paybridge.outbox.relay import Refusal, Relayed, relay_once
from paybridge.outbox.two_lanes import relay_in_two_lanes
from paybridge.rabbitmq.fast.confirms import ConfirmChannel
from paybridge.rabbitmq.publisher import RabbitPublisher, open_publisher

pytestmark = [pytest.mark.integration, pytest.mark.broker]

_MISROUTE = Statement("UPDATE outbox SET routing_key = 'nowhere' WHERE payment_id = :id::uuid")

_MAKE_UNSENDABLE = Statement("UPDATE outbox SET correlation_id = repeat('c', 300) WHERE payment_id = :id::uuid")

_COUNT_CONNECTIONS = Statement("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")

_COUNT_UNPUBLISHED = Statement("SELECT count(*) FROM outbox WHERE published_at IS NULL")

_COUNT_WAITING = Statement("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'")

# A drain that has not come to its end by then is stuck.
SECONDS_MAX = 30.0
# The second is far below the first: only a wake-up publishes a row so soon.
IDLE_POLL_SECONDS = 60.0
WAKE_UP_SECONDS_MAX = 10.0

_MAKE_DUE = Statement("UPDATE outbox SET available_at = clock_timestamp() RETURNING available_at::text")

# Whether the row is delayed by this many seconds, counted from between the given time and now.
_IS_PUT_OFF = Statement("""
    SELECT available_at - make_interval(secs => :seconds::double precision)
           BETWEEN :before::timestamptz AND clock_timestamp()
    FROM outbox
""")

_TO_NO_EXCHANGE = Statement("UPDATE outbox SET exchange = 'no.such.exchange' WHERE payment_id = :id::uuid")


class Observer:
    """Keeps what the drain reports."""

    def __init__(self) -> None:
        self.refusals: list[Refusal] = []
        self.outages: list[Unavailable] = []
        self.passes: list[Relayed] = []

    def relayed(self, relayed: Relayed) -> None:
        self.passes.append(relayed)

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    def outage(self, error: Unavailable) -> None:
        self.outages.append(error)

    @property
    def rows(self) -> int:
        """How many rows were published or refused."""
        return sum(relayed.claimed for relayed in self.passes)


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


def rows(count: int) -> Callable[[Observer], bool]:
    """The end of a drain: once it has published or refused so many rows."""
    return lambda observer: observer.rows >= count


async def drain(
    database: Database,
    amqp_url: str,
    until: Callable[[Observer], bool] = lambda _: False,
    *,
    seconds_max: float = SECONDS_MAX,
    observer: Observer | None = None,
    idle_poll_seconds_max: float = 0.1,
    opening: Callable[[], AbstractAsyncContextManager[Publisher]] | None = None,
    ends_within_seconds: float = math.inf,
) -> Drained:
    """Drain until the observer has seen enough. One that waits may notice it `ends_within_seconds` later."""
    watched = observer or Observer()
    deadline = time.monotonic() + seconds_max

    def remaining_seconds() -> float:
        return 0.0 if until(watched) else min(ends_within_seconds, deadline - time.monotonic())

    return await drain_outbox(
        Drain(
            database=database,
            open_publisher=opening or (lambda: open_publisher(amqp_url)),
            batch_rows=50,
            idle_poll_seconds_max=idle_poll_seconds_max,
            remaining_seconds=remaining_seconds,
            observer=watched,
        )
    )


async def until_a_relay_waits(database: Database) -> None:
    """Return when one holds the lock by which writers know that they must wake it."""
    await eventually_async(lambda: database.run(_COUNT_WAITING) == [[1]], "a relay that waits")


def until_one_is_published(database: Database) -> None:
    while not database.run(Statement("SELECT 1 FROM outbox WHERE published_at IS NOT NULL LIMIT 1")):
        time.sleep(0.001)


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
        self, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay_module, "REFUSED_DELAY_SECONDS_FIRST", 60.0)
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

    async def test_a_row_that_the_broker_never_confirms_stays(
        self, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def lose(*_: object) -> None:
            """Lose the broker's answer."""

        monkeypatch.setattr(ConfirmChannel, "_on_confirm_frame", lose)
        monkeypatch.setattr(relay_module, "CONFIRM_DEADLINE_SECONDS", 0.2)
        (payment_id,) = accept(database, 1)
        async with open_publisher(vhost.amqp_url) as publisher:
            relayed = await relay_once(database, publisher, 100, lambda _: None)
        assert (relayed.claimed, relayed.refused) == (1, 1)
        (row,) = outbox_rows(database, payment_id)
        assert (row["published_at"], row["last_error"]) == (None, "not confirmed before the deadline")

    async def test_a_row_for_an_exchange_that_is_not_there_does_not_hold_up_the_rest(
        self, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relay_module, "REFUSED_DELAY_SECONDS_FIRST", 60.0)
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

    async def test_a_row_that_amqp_cannot_carry_does_not_hold_up_the_rest(
        self, database: Database, vhost: Vhost
    ) -> None:
        first, lost, last = accept(database, 3)
        database.run(_MAKE_UNSENDABLE, id=lost)
        refusals: list[Refusal] = []
        async with open_publisher(vhost.amqp_url) as publisher:
            relayed = await relay_once(database, publisher, 100, refusals.append)
        assert (relayed.claimed, relayed.refused) == (3, 1)
        assert "longer than AMQP allows" in refusals[0].reason
        assert outbox_rows(database, lost)[0]["published_at"] is None
        got = await take_all(vhost.amqp_url, "payments.new")
        assert subjects([one.body for one in got]) == sorted(map(str, (first, last)))

    async def test_a_refused_row_is_put_off_for_longer_each_time(self, database: Database, vhost: Vhost) -> None:
        (lost,) = accept(database, 1)
        database.run(_MISROUTE, id=lost)
        refusals: list[Refusal] = []
        async with open_publisher(vhost.amqp_url) as publisher:
            for delay_seconds in (1, 2, 4, 8, 16, 32, 60, 60):
                ((before,),) = database.run(_MAKE_DUE)
                await relay_once(database, publisher, 100, refusals.append)
                assert database.run(_IS_PUT_OFF, before=before, seconds=delay_seconds) == [[True]]
        assert [refusal.attempts for refusal in refusals] == list(range(1, 9))

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
        relays, observer = [Database(address) for _ in range(3)], Observer()
        drained = await asyncio.gather(
            *(drain(relay, vhost.amqp_url, rows(400), observer=observer) for relay in relays)
        )
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
        assert (await drain(database, vhost.amqp_url, rows(5))).published == 5


class TestSideBySide:
    """More waits than one batch: the next is claimed while the last one is being confirmed."""

    async def test_all_arrive_once_and_in_the_order_of_becoming_due(self, database: Database, vhost: Vhost) -> None:
        payments = accept(database, 430)
        assert (await drain(database, vhost.amqp_url, rows(430))).published == 430
        got = await take_all(vhost.amqp_url, "payments.new")
        assert [json.loads(one.body)["subject"] for one in got] == list(map(str, payments))

    async def test_two_batches_are_on_their_way_at_once(self, database: Database, vhost: Vhost) -> None:
        accept(database, 60)
        under_way: list[int] = []
        async with open_publisher(vhost.amqp_url) as publisher:
            watched = WatchedPublisher(publisher, under_way)
            with closing(database.another()) as second:
                await relay_in_two_lanes((database, second), full_batches(watched, 10))
        assert max(under_way) == 2
        assert len(await take_all(vhost.amqp_url, "payments.new")) == 60

    async def test_refused_rows_stay_and_the_rest_goes(self, database: Database, vhost: Vhost) -> None:
        payments = accept(database, 240)
        lost = payments[::7]
        for number, payment_id in enumerate(lost):
            database.run(_MISROUTE if number % 2 else _TO_NO_EXCHANGE, id=payment_id)
        observer = Observer()
        drained = await drain(database, vhost.amqp_url, rows(240), observer=observer)
        assert drained.published == 240 - len(lost)
        assert {refusal.attempts for refusal in observer.refusals} == {1}
        assert len(observer.refusals) == len(lost)
        got = await take_all(vhost.amqp_url, "payments.new")
        assert set(subjects([one.body for one in got])) == set(map(str, payments)) - set(map(str, lost))

    async def test_when_one_batch_fails_the_other_stays_unmarked_and_free(
        self, database: Database, vhost: Vhost
    ) -> None:
        accept(database, 40)
        async with open_publisher(vhost.amqp_url) as publisher:
            failing = FailingPublisher(publisher, fails_at=2)
            with closing(database.another()) as second, pytest.raises(BrokerUnavailable):
                await relay_in_two_lanes((database, second), full_batches(failing, 10))
            claimable = database.run(
                Statement("SELECT id FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED")
            )
            marked = database.run(Statement("SELECT id FROM outbox WHERE published_at IS NOT NULL"))
        assert len(claimable) + len(marked) == 40
        assert len(claimable) >= 20
        assert (await drain(database, vhost.amqp_url, rows(len(claimable)))).published == len(claimable)


class TestWaiting:
    async def test_a_new_row_is_published_long_before_the_next_poll(self, database: Database, vhost: Vhost) -> None:
        merchant_id = new_merchant(database)
        with closing(database.another()) as writer:
            draining = asyncio.ensure_future(
                drain(database, vhost.amqp_url, rows(5), idle_poll_seconds_max=IDLE_POLL_SECONDS)
            )
            await until_a_relay_waits(writer)
            for _ in range(5):
                payment_id = await asyncio.to_thread(new_payment, writer, merchant_id)
                await eventually_async(
                    lambda id_=payment_id: outbox_rows(writer, id_)[0]["published_at"],
                    "publishing",
                    WAKE_UP_SECONDS_MAX,
                )
            assert (await draining).published == 5

    async def test_a_row_of_the_future_is_published_when_it_is_due(self, database: Database, vhost: Vhost) -> None:
        (payment_id,) = accept(database, 1)
        database.run(Statement("UPDATE outbox SET available_at = now() + interval '0.7 seconds'"))
        await drain(database, vhost.amqp_url, rows(1), idle_poll_seconds_max=IDLE_POLL_SECONDS)
        (row,) = outbox_rows(database, payment_id)
        late = datetime.fromisoformat(row["published_at"]) - datetime.fromisoformat(row["available_at"])
        assert 0 <= late.total_seconds() < WAKE_UP_SECONDS_MAX

    async def test_the_next_relay_takes_over_when_the_waiting_one_ends(
        self, database: Database, address: DatabaseAddress, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Without the lock a relay polls, at first often. This one is left to the wake-up of the relay that ends.
        monkeypatch.setattr(drain_module, "IDLE_POLL_SECONDS_MIN", IDLE_POLL_SECONDS)
        is_over, sleeps_long = asyncio.Event(), asyncio.Event()
        heard = Session.heard

        async def noted(session: Session, seconds_max: float) -> bool:
            if seconds_max > 1:
                sleeps_long.set()
            return await heard(session, seconds_max)

        monkeypatch.setattr(Session, "heard", noted)
        merchant_id = new_merchant(database)
        with closing(Database(address)) as next_one, closing(Database(address)) as writer:
            ending = asyncio.ensure_future(
                drain(
                    database,
                    vhost.amqp_url,
                    lambda _: is_over.is_set(),
                    idle_poll_seconds_max=IDLE_POLL_SECONDS,
                    ends_within_seconds=0.1,
                )
            )
            await until_a_relay_waits(writer)
            staying = asyncio.ensure_future(
                drain(next_one, vhost.amqp_url, rows(1), idle_poll_seconds_max=IDLE_POLL_SECONDS)
            )
            await asyncio.wait_for(sleeps_long.wait(), SECONDS_MAX)
            is_over.set()
            await ending
            await until_a_relay_waits(writer)
            await asyncio.to_thread(new_payment, writer, merchant_id)
            assert (await asyncio.wait_for(staying, WAKE_UP_SECONDS_MAX)).published == 1

    async def test_it_asks_the_database_once_in_a_poll(
        self, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0
        run_prepared = Database._run_prepared

        def counted(one: Database, *arguments: Any) -> Any:
            nonlocal asked
            asked += 1
            return run_prepared(one, *arguments)

        monkeypatch.setattr(Database, "_run_prepared", counted)
        started = time.monotonic()
        await drain(database, vhost.amqp_url, lambda _: asked >= 16, idle_poll_seconds_max=0.2)
        assert asked >= 16
        # The first and the last of the polls need not be a full interval.
        assert time.monotonic() - started >= 8 * 0.2

    async def test_one_that_waits_can_be_cancelled_and_leaves_nothing_behind(
        self, database: Database, vhost: Vhost
    ) -> None:
        with closing(database.another()) as watcher:
            forever = asyncio.ensure_future(
                drain(database, vhost.amqp_url, seconds_max=math.inf, idle_poll_seconds_max=IDLE_POLL_SECONDS)
            )
            await until_a_relay_waits(watcher)
            forever.cancel()
            with pytest.raises(asyncio.CancelledError):
                await forever
            await eventually_async(lambda: watcher.run(_COUNT_CONNECTIONS) == [[1]], "the end of its connections")

    async def test_one_that_publishes_can_be_cancelled_and_leaves_the_rest_to_another(
        self, database: Database, address: DatabaseAddress, vhost: Vhost
    ) -> None:
        payments = accept(database, 300)
        with closing(Database(address)) as first:
            cancelled = asyncio.ensure_future(drain(first, vhost.amqp_url, seconds_max=math.inf))
            await asyncio.to_thread(until_one_is_published, database)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        await drain(database, vhost.amqp_url, lambda _: database.run(_COUNT_UNPUBLISHED) == [[0]])
        assert database.run(_COUNT_UNPUBLISHED) == [[0]]
        got = await take_all(vhost.amqp_url, "payments.new")
        assert set(subjects([one.body for one in got])) == set(map(str, payments))


class TestPublisher:
    async def test_a_write_that_the_connection_does_not_take_ends_at_its_deadline(self, vhost: Vhost) -> None:
        async with open_publisher(vhost.amqp_url) as publisher:
            channel = await publisher._shared_channel()
            channel.write_queue = asyncio.Queue(maxsize=1)
            channel.write_queue.put_nowait(None)
            started = time.monotonic()
            async with asyncio.timeout(SECONDS_MAX):
                with pytest.raises(BrokerUnavailable):
                    await publisher.publish([Message("1", "t", "payments", "payments.new", b"{}", "c")], 0.3)
        assert time.monotonic() - started > 0.2


class TestDrain:
    async def test_it_ends_when_its_time_is_up(self, database: Database, vhost: Vhost) -> None:
        started = time.monotonic()
        await drain(database, vhost.amqp_url, seconds_max=0.5)
        assert 0.4 < time.monotonic() - started < SECONDS_MAX

    @pytest.mark.broker_stops
    async def test_an_outage_of_the_broker_only_delays(self, database: Database, broker: Broker) -> None:
        vhost = broker.fresh_vhost()
        accept(database, 5)
        observer = Observer()
        broker.stop()
        try:
            await drain(database, vhost.amqp_url, lambda seen: bool(seen.outages), observer=observer)
        finally:
            broker.start()
        assert observer.outages
        assert (await drain(database, vhost.amqp_url, rows(5))).published == 5
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
        drained = await drain(database, vhost.amqp_url, rows(2), opening=counted)
        assert (opened, drained.published) == (2, 2)


def full_batches(publisher: Publisher, rows_max: int) -> Callable[[Database], Awaitable[bool]]:
    async def relay_full(database: Database) -> bool:
        return (await relay_once(database, publisher, rows_max, lambda _: None)).claimed == rows_max

    return relay_full


class WatchedPublisher:
    """Notes before each batch how many are on their way with it."""

    def __init__(self, publisher: RabbitPublisher, under_way: list[int]) -> None:
        self._publisher = publisher
        self._under_way = under_way
        self._count = 0

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        self._count += 1
        self._under_way.append(self._count)
        try:
            return await self._publisher.publish(messages, deadline_seconds)
        finally:
            self._count -= 1


class FailingPublisher:
    """Loses the broker with the batch of the given number, while the one before is on its way."""

    def __init__(self, publisher: RabbitPublisher, fails_at: int) -> None:
        self._publisher = publisher
        self._fails_at = fails_at
        self._count = 0

    async def publish(self, messages: Sequence[Message], deadline_seconds: float) -> list[str | None]:
        self._count += 1
        if self._count == self._fails_at:
            raise BrokerUnavailable("away")
        return await self._publisher.publish(messages, deadline_seconds)


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
        timeout=30,
    ).raise_for_status()
