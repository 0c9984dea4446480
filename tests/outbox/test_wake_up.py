"""Writers of outbox rows and a relay that waits for them: no wake-up is lost, and none is sent without need."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from local.testkit.payments import new_merchant, new_payment, payment_row
from paybridge import wiring
from paybridge.core.events import PAYMENT_CREATED, PAYMENT_PROCESSING, Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.outbox.wake_up import listening, seconds_until_due, wake_relay
from paybridge.payments.domain.payment import Status

pytestmark = pytest.mark.integration

INTERLEAVINGS = 300
# Many times what a wake-up takes, and far from the milliseconds that a lost one would have to be mistaken for.
LOST_AFTER_SECONDS = 30.0
_CLEAR = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")
_COUNT_NOTIFIED = Statement("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_notify%' AND pid <> :me::int")
_WHO_HOLDS = Statement("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'")
_END = Statement("SELECT pg_terminate_backend(:pid::integer)")
_ME = Statement("SELECT pg_backend_pid()")


@pytest.fixture
def relay(database_address: DatabaseAddress) -> Iterator[Database]:
    """The relay's connection; nothing waits in the outbox."""
    with closing(Database(database_address)) as database:
        database.run(_CLEAR)
        yield database


@pytest.fixture
def writer(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def watcher(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


def an_event(type_: str = PAYMENT_CREATED) -> Event:
    return Event(
        id=uuid.uuid4(),
        type=type_,
        payment_id=uuid.uuid4(),
        merchant_id=uuid.uuid4(),
        correlation_id="c",
        time=datetime.now(UTC),
        data={},
        sequence=1,
    )


def add(database: Database, *events: Event, delay_seconds: float = 0) -> None:
    with database.transaction() as transaction:
        outbox.add_delayed(transaction, [(event, delay_seconds) for event in events])


async def heard_when(relay: Database, write: object, seconds_max: float = LOST_AFTER_SECONDS) -> bool:
    """Whether a relay that sleeps hears of what `write` does."""
    with listening(relay) as wake_up:
        assert wake_up.has_lock
        assert seconds_until_due(wake_up.session) is None
        await asyncio.to_thread(write)  # type: ignore[arg-type]
        return await wake_up.session.heard(seconds_max)


class TestWriters:
    async def test_an_accepted_payment_wakes(self, relay: Database, writer: Database) -> None:
        merchant_id = new_merchant(writer)
        assert await heard_when(relay, lambda: new_payment(writer, merchant_id))

    async def test_added_rows_wake(self, relay: Database, writer: Database) -> None:
        assert await heard_when(relay, lambda: add(writer, an_event(), an_event()))

    async def test_a_delayed_row_wakes_because_it_may_be_due_before_the_next_look(
        self, relay: Database, writer: Database
    ) -> None:
        assert await heard_when(relay, lambda: add(writer, an_event(), delay_seconds=0.5))

    async def test_what_is_only_recorded_wakes_nobody(self, relay: Database, writer: Database) -> None:
        assert not await heard_when(relay, lambda: add(writer, an_event(PAYMENT_PROCESSING)), 0.3)

    async def test_what_is_rolled_back_wakes_nobody(self, relay: Database, writer: Database) -> None:
        def write() -> None:
            with pytest.raises(ZeroDivisionError), writer.transaction() as transaction:
                outbox.add(transaction, [an_event()])
                raise ZeroDivisionError

        assert not await heard_when(relay, write, 0.3)

    def test_without_a_relay_that_waits_nothing_is_sent(
        self, relay: Database, writer: Database, watcher: Database
    ) -> None:
        new_payment(writer, new_merchant(writer))
        add(writer, an_event())
        (me,) = watcher.run(_ME)[0]
        # The last statement of the writer's session is the one that wrote, and none of another session either.
        assert watcher.run(_COUNT_NOTIFIED, me=me) == [[0]]

    async def test_a_payment_stands_when_waking_fails(
        self, relay: Database, writer: Database, watcher: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        merchant_id = new_merchant(writer)
        (pid,) = writer.run(_ME)[0]
        attempt = Database.attempt

        def broken(database: Database, statement: Statement) -> None:
            watcher.run(_END, pid=pid)
            time.sleep(0.1)
            attempt(database, statement)

        monkeypatch.setattr(Database, "attempt", broken)
        with listening(relay) as wake_up:
            assert wake_up.has_lock
            payment_id = await asyncio.to_thread(new_payment, writer, merchant_id)
        assert payment_row(writer, payment_id)["status"] == Status.PENDING


class TestEventLoops:
    """uvloop and asyncio's own watch a socket in different ways."""

    @pytest.mark.parametrize("without_uvloop", [False, True])
    def test_a_relay_hears_on_the_loop_of_the_functions(
        self, relay: Database, writer: Database, monkeypatch: pytest.MonkeyPatch, without_uvloop: bool
    ) -> None:
        if without_uvloop:
            monkeypatch.setitem(sys.modules, "uvloop", None)
        with asyncio.Runner(loop_factory=wiring._new_loop) as runner:
            assert isinstance(runner.get_loop(), asyncio.SelectorEventLoop) == without_uvloop
            assert not runner.run(heard_when(relay, lambda: None, 0.3))
            assert runner.run(heard_when(relay, lambda: add(writer, an_event())))


class TestListening:
    async def test_only_one_relay_is_told(self, relay: Database, watcher: Database) -> None:
        with listening(relay) as first, listening(watcher) as second:
            assert (first.has_lock, second.has_lock) == (True, False)

    async def test_another_takes_its_place_when_it_goes(self, relay: Database, watcher: Database) -> None:
        with listening(relay):
            pass
        with listening(watcher) as second:
            assert second.has_lock
            wake_relay(relay)
            assert await second.session.heard(LOST_AFTER_SECONDS)

    async def test_a_dead_relay_holds_nobody_up(self, relay: Database, writer: Database, watcher: Database) -> None:
        with pytest.raises(KeyboardInterrupt), listening(relay):
            assert watcher.run(_WHO_HOLDS) == [[1]]
            raise KeyboardInterrupt
        deadline = time.monotonic() + LOST_AFTER_SECONDS
        while watcher.run(_WHO_HOLDS) != [[0]]:
            assert time.monotonic() < deadline
        add(writer, an_event())

    async def test_a_lost_connection_is_heard(self, relay: Database, watcher: Database) -> None:
        with pytest.raises(Exception, match="down"), listening(relay) as wake_up:
            (pid,) = wake_up.session.run(_ME)[0]
            watcher.run(_END, pid=pid)
            assert await wake_up.session.heard(LOST_AFTER_SECONDS)

    async def test_afterwards_the_connection_is_as_it_was(self, relay: Database, watcher: Database) -> None:
        (before,) = relay.run(_ME)[0]
        for _ in range(3):
            with listening(relay):
                wake_relay(watcher)
            wake_relay(watcher)
            await asyncio.sleep(0.02)
        assert relay.run(_ME) == [[before]]

    async def test_sleeping_does_not_hold_up_the_event_loop(self, relay: Database, writer: Database) -> None:
        async def wake_later() -> None:
            for _ in range(10):
                await asyncio.sleep(0.01)
            wake_relay(writer)

        with listening(relay) as wake_up:
            beside = asyncio.ensure_future(wake_later())
            assert await wake_up.session.heard(LOST_AFTER_SECONDS)
        await beside


async def test_no_wake_up_is_lost_in_any_order(database_address: DatabaseAddress) -> None:
    """A relay that would sleep for ever beside a writer that writes whenever the last row was taken.

    Every round starts both at once, each a random moment late, so that the writer's insert, lock, commit and NOTIFY
    fall before, between and after the relay's lock, LISTEN and look. Every other transaction stays open for a while.
    The one that was first may be later in the next round, and the other less late: so both orders happen as often on a
    machine of any speed.
    """
    chance = random.Random(20261121)
    with closing(Database(database_address)) as relay, closing(Database(database_address)) as writer:
        relay.run(_CLEAR)
        slept = 0
        relay_late_seconds_max = writer_late_seconds_max = 0.002
        for number in range(INTERLEAVINGS):
            before = chance.random() * writer_late_seconds_max
            within = chance.random() * 0.001 if number % 2 else 0.0
            writing = threading.Thread(target=write_late, args=(writer, before, within))
            writing.start()
            await asyncio.sleep(chance.random() * relay_late_seconds_max)
            has_slept = await until_a_row_is_due(relay)
            await asyncio.to_thread(writing.join)
            relay.run(_CLEAR)
            slept += has_slept
            later = 1.1 if has_slept else 1 / 1.1
            relay_late_seconds_max *= later
            writer_late_seconds_max /= later
    # Otherwise no relay slept, or none woke by the look alone, and this has shown nothing.
    assert 10 < slept < INTERLEAVINGS - 10


def write_late(writer: Database, before_seconds: float, within_seconds: float) -> None:
    time.sleep(before_seconds)
    with writer.transaction() as transaction:
        outbox.add(transaction, [an_event()])
        time.sleep(within_seconds)


async def until_a_row_is_due(relay: Database) -> bool:
    """Waits as the relay does, without its polls, for a row; whether it slept. Fails when it sleeps beside a row."""
    deadline = time.monotonic() + LOST_AFTER_SECONDS
    while time.monotonic() < deadline:
        with listening(relay) as wake_up:
            if seconds_until_due(wake_up.session) is not None:
                return False
            if wake_up.has_lock:
                assert await wake_up.session.heard(LOST_AFTER_SECONDS), "a relay sleeps beside a row"
                assert seconds_until_due(wake_up.session) is not None
                return True
    raise AssertionError("the row never came")
