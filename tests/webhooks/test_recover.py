"""Recoveries: what they send, how often, and what they wait for."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from local.testkit.webhooks import DeliveryWorld
from paybridge.core.clock import SystemClock
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.webhooks.change_endpoint import change_endpoint, delete_endpoint
from paybridge.webhooks.create_endpoint import EndpointOrder, NewSecret, create_endpoint
from paybridge.webhooks.domain.recovery import Recovery, RecoveryState
from paybridge.webhooks.recover import (
    EndpointDisabled,
    read_recovery,
    start_recovery,
    work_on,
    work_on_recoveries,
)
from paybridge.webhooks.store import recoveries
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

CLOCK, IDS = SystemClock(), Uuid7Ids()
AT_ONCE = 6
_DELIVERIES = Statement("""
    SELECT event_id, status, attempts FROM webhook_deliveries WHERE endpoint_id = :id::uuid ORDER BY event_id
""")
_COMMANDS = Statement("""
    SELECT c.id FROM outbox c JOIN webhook_deliveries d ON strpos(c.body, d.id::text) > 0
    WHERE d.endpoint_id = :id::uuid AND c.type = :type::text AND c.merchant_id = :merchant_id::uuid
""")


@pytest.fixture
def other(world: DeliveryWorld) -> Iterator[Database]:
    with closing(Database(world.address)) as other:
        yield other


def endpoint_of(world: DeliveryWorld, merchant_id: UUID, *events: str, path: str = "/ok") -> UUID:
    order = EndpointOrder(url=world.sink + path, events=events or ("payment.*",))
    created = create_endpoint(world.database, CLOCK, IDS, merchant_id, order)
    assert isinstance(created, NewSecret)
    return created.endpoint.id


def recorded(world: DeliveryWorld, merchant_id: UUID, type_: str = "payment.succeeded", **changes: object) -> Event:
    """An event in the log, which was never delivered."""
    event = world.event(merchant_id, None, type=type_, **changes)
    with world.database.transaction() as transaction:
        outbox.add(transaction, [event])
    return event


def recover(database: Database, merchant_id: UUID, endpoint_id: UUID) -> Recovery:
    """Begin a recovery that need not wait for older transactions, such as one of autovacuum."""
    await_horizon(database)
    return begin_recovery(database, merchant_id, endpoint_id)


def begin_recovery(
    database: Database, merchant_id: UUID, endpoint_id: UUID, ago: timedelta = timedelta(hours=1)
) -> Recovery:
    found = start_recovery(database, CLOCK, IDS, merchant_id, endpoint_id, datetime.now(UTC) - ago)
    assert isinstance(found, Recovery)
    return found


def deliveries(world: DeliveryWorld, endpoint_id: UUID) -> list[tuple[UUID, str, int]]:
    return [(row[0], row[1], row[2]) for row in world.database.run(_DELIVERIES, id=endpoint_id)]


def commands(world: DeliveryWorld, merchant_id: UUID, endpoint_id: UUID) -> int:
    return len(world.database.run(_COMMANDS, id=endpoint_id, type=DELIVER_WEBHOOK, merchant_id=merchant_id))


class TestWhatIsSent:
    async def test_events_that_were_never_sent_to_it(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        events = [recorded(world, merchant_id) for _ in range(3)]
        endpoint_id = endpoint_of(world, merchant_id)
        recovery = recover(world.database, merchant_id, endpoint_id)
        assert (recovery.state, recovery.checked, recovery.sent) == (RecoveryState.FINISHED, 3, 3)
        assert deliveries(world, endpoint_id) == [(event.id, "pending", 0) for event in events]
        for event in events:
            await world.deliver(world.command(event))
        assert deliveries(world, endpoint_id) == [(event.id, "delivered", 1) for event in events]
        assert [len(world.received(event)) for event in events] == [1, 1, 1]

    async def test_not_what_it_does_not_choose_what_is_older_or_what_is_anothers(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        recorded(world, merchant_id, "payment.failed")
        recorded(world, merchant_id, time=datetime.now(UTC) - timedelta(hours=2))
        recorded(world, world.merchant())
        endpoint_id = endpoint_of(world, merchant_id, "payment.succeeded")
        recovery = recover(world.database, merchant_id, endpoint_id)
        assert (recovery.state, recovery.sent) == (RecoveryState.FINISHED, 0)
        assert deliveries(world, endpoint_id) == []

    @pytest.mark.parametrize(("path", "again"), [("/status/500", 1), ("/ok", 0)])
    async def test_failed_ones_again_but_not_delivered_ones(self, world: DeliveryWorld, path: str, again: int) -> None:
        merchant_id = world.merchant()
        endpoint_id = endpoint_of(world, merchant_id, path=path)
        event = recorded(world, merchant_id)
        await world.deliver(event, delays=())
        assert recover(world.database, merchant_id, endpoint_id).sent == again

    async def test_what_happened_while_it_was_disabled(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        endpoint_id = endpoint_of(world, merchant_id)
        change_endpoint(world.database, CLOCK, IDS, merchant_id, endpoint_id, {"status": "disabled"})
        event = recorded(world, merchant_id)
        await world.deliver(event)
        since = datetime.now(UTC) - timedelta(hours=1)
        assert start_recovery(world.database, CLOCK, IDS, merchant_id, endpoint_id, since) == EndpointDisabled()
        change_endpoint(world.database, CLOCK, IDS, merchant_id, endpoint_id, {"status": "enabled"})
        recover(world.database, merchant_id, endpoint_id)
        assert deliveries(world, endpoint_id) == [(event.id, "pending", 0)]

    async def test_not_what_is_pending(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        endpoint_id = endpoint_of(world, merchant_id, path="/status/500")
        event = recorded(world, merchant_id)
        await world.deliver(event, delays=(60.0,))
        assert recover(world.database, merchant_id, endpoint_id).sent == 0
        assert deliveries(world, endpoint_id) == [(event.id, "pending", 1)]

    async def test_a_message_that_comes_meanwhile_does_not_send_it_twice(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        event = recorded(world, merchant_id)
        endpoint_id = endpoint_of(world, merchant_id)
        recover(world.database, merchant_id, endpoint_id)
        await world.deliver(event)
        assert deliveries(world, endpoint_id) == [(event.id, "pending", 0)]
        await world.deliver(world.command(event))
        assert len(world.received(event)) == 1


class TestHowOften:
    async def test_of_many_requests_at_once_each_event_is_sent_once(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        events = [recorded(world, merchant_id) for _ in range(20)]
        endpoint_id = endpoint_of(world, merchant_id)

        def run(_: int) -> None:
            with closing(Database(world.address)) as database:
                recover(database, merchant_id, endpoint_id)

        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(run, range(AT_ONCE)))
        await_horizon(world.database)
        work_on_recoveries(world.database, CLOCK, IDS)
        assert len(deliveries(world, endpoint_id)) == len(events)
        assert commands(world, merchant_id, endpoint_id) == len(events)

    async def test_what_fails_again_while_it_runs_is_not_sent_twice(
        self, world: DeliveryWorld, other: Database
    ) -> None:
        merchant_id = world.merchant()
        endpoint_id = endpoint_of(world, merchant_id, path="/status/500")
        event = recorded(world, merchant_id)
        await world.deliver(event, delays=())
        await_horizon(world.database)
        with other.transaction() as open_one:
            open_one.run(Statement("SELECT pg_current_xact_id()::text"))
            running = begin_recovery(world.database, merchant_id, endpoint_id)
            assert (running.state, running.sent) == (RecoveryState.RUNNING, 1)
            await world.deliver(world.command(event), delays=())
            assert deliveries(world, endpoint_id) == [(event.id, "failed", 2)]
            # An earlier time makes the search begin again.
            wider = begin_recovery(world.database, merchant_id, endpoint_id, timedelta(hours=3))
            assert (wider.id, wider.sent) == (running.id, 1)
        assert deliveries(world, endpoint_id) == [(event.id, "failed", 2)]
        assert recover(world.database, merchant_id, endpoint_id).state is RecoveryState.FINISHED
        # The running one was asked for before the second failure. One that begins now is not.
        assert recover(world.database, merchant_id, endpoint_id).sent == 1


class TestBatches:
    async def test_a_long_range_is_worked_on_in_bounded_batches(self, world: DeliveryWorld) -> None:
        merchant_id = world.merchant()
        events = [recorded(world, merchant_id) for _ in range(7)]
        endpoint_id = endpoint_of(world, merchant_id)
        since = datetime.now(UTC) - timedelta(hours=1)
        with world.database.transaction() as transaction:
            recovery = recoveries.start(transaction, uuid7(), merchant_id, endpoint_id, since)
        await_horizon(world.database)
        progress = []
        for _ in range(4):
            worked = work_on(world.database, CLOCK, IDS, recovery.id, 0.0, batch_events=2)
            assert worked is not None
            progress.append((worked.checked, worked.sent, worked.state))
        assert progress == [
            (2, 2, RecoveryState.RUNNING),
            (4, 4, RecoveryState.RUNNING),
            (6, 6, RecoveryState.RUNNING),
            (7, 7, RecoveryState.FINISHED),
        ]
        assert work_on(world.database, CLOCK, IDS, recovery.id, 0.0) is None
        assert len(deliveries(world, endpoint_id)) == len(events)
        read = read_recovery(world.database, merchant_id, endpoint_id, recovery.id)
        assert read == worked
        assert read_recovery(world.database, None, endpoint_id, recovery.id) == worked
        assert read_recovery(world.database, world.merchant(), endpoint_id, recovery.id) is None

    async def test_an_event_that_commits_late_is_waited_for(self, world: DeliveryWorld, other: Database) -> None:
        merchant_id = world.merchant()
        late = world.event(merchant_id, None)
        endpoint_id = endpoint_of(world, merchant_id)
        with other.transaction() as transaction:
            outbox.add(transaction, [late])
            early = recorded(world, merchant_id)
            recovery = begin_recovery(world.database, merchant_id, endpoint_id)
            assert recovery.state is RecoveryState.RUNNING
            assert deliveries(world, endpoint_id) in ([], [(early.id, "pending", 0)])
        await_horizon(world.database)
        assert work_on_recoveries(world.database, CLOCK, IDS) == 1
        assert deliveries(world, endpoint_id) == [(event.id, "pending", 0) for event in sorted((late, early), key=_id)]

    async def test_ends_once_its_endpoint_is_deleted(self, world: DeliveryWorld, other: Database) -> None:
        merchant_id = world.merchant()
        endpoint_id = endpoint_of(world, merchant_id)
        with other.transaction() as transaction:
            transaction.run(Statement("SELECT pg_current_xact_id()::text"))
            recovery = begin_recovery(world.database, merchant_id, endpoint_id)
            delete_endpoint(world.database, CLOCK, merchant_id, endpoint_id)
        work_on_recoveries(world.database, CLOCK, IDS)
        found = read_recovery(world.database, merchant_id, endpoint_id, recovery.id)
        assert found is not None
        assert found.state is RecoveryState.CANCELED

    async def test_another_merchants_endpoint_is_none(self, world: DeliveryWorld) -> None:
        endpoint_id = endpoint_of(world, world.merchant())
        assert start_recovery(world.database, CLOCK, IDS, world.merchant(), endpoint_id, datetime.now(UTC)) is None


def _id(event: Event) -> UUID:
    return event.id
