"""The feed skips nothing and repeats nothing, whatever commits when."""

from __future__ import annotations

import os
import random
import threading
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.testkit.payments import new_merchant, new_payment
from paybridge.core.clock import SystemClock
from paybridge.core.errors import InvalidInput
from paybridge.core.events import (
    PAYMENT_CREATED,
    PAYMENT_SUCCEEDED,
    PROCESS_PAYMENT,
    PUBLIC_TYPES,
    WEBHOOK_EXHAUSTED,
    Event,
)
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement, Transaction
from paybridge.feed import read_events
from paybridge.feed.domain import START, FeedFilters, FeedPage, Position, matching_types
from paybridge.feed.read_events import end_of_feed, position_after, read_event, read_page
from paybridge.outbox import store as outbox
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

# PAYBRIDGE_FEED_ROUNDS makes the test of concurrent writers longer.
ROUNDS = int(os.environ.get("PAYBRIDGE_FEED_ROUNDS", "1"))
WRITERS, READERS, TRANSACTIONS = 4, 3, 40

_NOW = Statement("SELECT now()")
_TAKE_NUMBER = Statement("SELECT pg_current_xact_id()::text")


@pytest.fixture
def merchant_id(database: Database) -> UUID:
    return new_merchant(database)


def event(merchant_id: UUID, type_: str = PAYMENT_SUCCEEDED, **changes: object) -> Event:
    """An event about a payment that need not exist."""
    values = {
        "id": Uuid7Ids().new(),
        "type": type_,
        "payment_id": uuid.uuid4(),
        "merchant_id": merchant_id,
        "correlation_id": "c",
        "time": SystemClock().now(),
        "data": {"status": "succeeded"},
        "sequence": 1,
        **changes,
    }
    return Event(**values)


def write(database: Database, *events: Event) -> None:
    """Commit the events. The feed may not show them yet."""
    with database.transaction() as transaction:
        outbox.add(transaction, events)


def read_settled(database: Database, merchant_id: UUID | None, filters: FeedFilters | None = None) -> list[UUID]:
    """The ids of everything that the feed shows once it has caught up."""
    await_horizon(database)
    return read_all(database, merchant_id, filters)


def read_all(database: Database, merchant_id: UUID | None, filters: FeedFilters | None = None) -> list[UUID]:
    """The ids of everything that the feed shows now, in pages of two."""
    ids: list[UUID] = []
    page = FeedPage(START, has_more=True)
    while page.has_more:
        page = read_page(database, merchant_id, filters or FeedFilters(), page.end, 2)
        ids += [event.id for event in page.events]
    return ids


class TestALateCommit:
    def test_holds_the_feed_up_and_is_not_skipped(
        self, database: Database, database_address: DatabaseAddress, merchant_id: UUID
    ) -> None:
        first, late, early, last = (event(merchant_id) for _ in range(4))
        write(database, first)
        await_horizon(database)
        with closing(Database(database_address)) as slow:
            with slow.transaction() as transaction:
                outbox.add(transaction, [late])
                write(database, early)
                seen = read_all(database, merchant_id)
                assert seen == [first.id]
            write(database, last)
            await_horizon(database)
            page = read_page(database, merchant_id, FeedFilters(), position_after(database, merchant_id, seen[-1]), 10)
        assert [found.id for found in page.events] == [late.id, early.id, last.id]
        assert not page.has_more

    def test_of_another_merchant_holds_it_up_and_skips_nothing(
        self, database: Database, database_address: DatabaseAddress, merchant_id: UUID
    ) -> None:
        one, other = event(merchant_id), event(new_merchant(database))
        with closing(Database(database_address)) as slow, slow.transaction() as transaction:
            outbox.add(transaction, [other])
            write(database, one)
            assert read_all(database, merchant_id) == []
        assert read_settled(database, merchant_id) == [one.id]

    def test_that_is_rolled_back_leaves_no_gap(
        self, database: Database, database_address: DatabaseAddress, merchant_id: UUID
    ) -> None:
        lost, kept = event(merchant_id), event(merchant_id)

        def fail(transaction: Transaction) -> None:
            outbox.add(transaction, [lost])
            write(database, kept)
            raise RuntimeError("the writer breaks")

        with closing(Database(database_address)) as slow, pytest.raises(RuntimeError), slow.transaction() as begun:
            fail(begun)
        assert read_settled(database, merchant_id) == [kept.id]

    def test_of_a_reader_holds_nothing_up(
        self, database: Database, database_address: DatabaseAddress, merchant_id: UUID
    ) -> None:
        """A long report has no transaction number."""
        one = event(merchant_id)
        with closing(Database(database_address)) as report, report.transaction() as transaction:
            transaction.run(_NOW)
            write(database, one)
            assert read_settled(database, merchant_id) == [one.id]


@dataclass
class Follower:
    """A reader that goes on from the cursor alone, as a merchant does."""

    merchant_id: UUID | None
    seen: list[UUID] = field(default_factory=list)

    def look(self, database: Database, limit: int) -> bool:
        """Read a page; return whether more may follow at once."""
        after = position_after(database, self.merchant_id, self.seen[-1] if self.seen else None)
        page = read_page(database, self.merchant_id, FeedFilters(), after, limit)
        self.seen += [found.id for found in page.events]
        return page.has_more


class Race:
    """Writers and readers at the same time, each with a separate connection."""

    def __init__(self, address: DatabaseAddress, merchants: list[UUID], seed: int) -> None:
        self.address = address
        self.merchants = merchants
        self.seed = seed
        self.written: list[tuple[UUID, UUID]] = []
        self.followers = [Follower(merchant) for merchant in (*merchants, None) for _ in range(READERS)]
        self.is_over = threading.Event()

    def run(self) -> None:
        """Return once every writer has committed and every reader has caught up."""
        writers = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        readers = [threading.Thread(target=self._follow, args=(one, n)) for n, one in enumerate(self.followers)]
        for thread in (*writers, *readers):
            thread.start()
        for thread in writers:
            thread.join()
        self.is_over.set()
        for thread in readers:
            thread.join()

    def _write(self, number: int) -> None:
        chance = random.Random(self.seed * WRITERS + number)
        with closing(Database(self.address)) as connection:
            for _ in range(TRANSACTIONS):
                events = [event(chance.choice(self.merchants)) for _ in range(chance.randint(1, 3))]
                with connection.transaction() as transaction:
                    # The ids, the numbers and the commits of the writers get different orders.
                    if chance.random() < 0.5:
                        transaction.run(_TAKE_NUMBER)
                    self.is_over.wait(chance.random() * 0.01)
                    outbox.add(transaction, events)
                    self.is_over.wait(chance.random() * 0.02)
                self.written.extend((one.id, one.merchant_id) for one in events)

    def _follow(self, follower: Follower, number: int) -> None:
        chance = random.Random(number)
        with closing(Database(self.address)) as connection:
            while not self.is_over.wait(0.002):
                follower.look(connection, chance.randint(1, 5))
            await_horizon(connection)
            while follower.look(connection, 3):
                pass


class TestConcurrentWriters:
    @pytest.mark.parametrize("number", range(ROUNDS))
    def test_every_reader_sees_every_event_once_and_in_one_order(
        self, database: Database, database_address: DatabaseAddress, number: int
    ) -> None:
        race = Race(database_address, [new_merchant(database) for _ in range(2)], number)
        race.run()
        written = dict(race.written)
        assert len(race.written) == len(written) >= WRITERS * TRANSACTIONS
        orders: dict[UUID | None, list[UUID]] = {}
        for follower in race.followers:
            # Staff see the events of other tests too.
            seen = [id_ for id_ in follower.seen if id_ in written]
            own = [id_ for id_, merchant in written.items() if follower.merchant_id in (merchant, None)]
            assert sorted(seen) == sorted(own)
            assert orders.setdefault(follower.merchant_id, seen) == seen


class TestReadPage:
    def test_shows_what_merchants_may_know_and_no_commands(self, database: Database, merchant_id: UUID) -> None:
        payment_id = new_payment(database, merchant_id)
        shown = event(merchant_id, payment_id=payment_id, sequence=2)
        write(
            database,
            event(merchant_id, PROCESS_PAYMENT, payment_id=payment_id, sequence=None),
            event(merchant_id, WEBHOOK_EXHAUSTED, payment_id=payment_id, sequence=3),
            shown,
        )
        await_horizon(database)
        page = read_page(database, merchant_id, FeedFilters(), START, 10)
        assert [(found.type, found.sequence) for found in page.events] == [
            (PAYMENT_CREATED, 1),
            (PAYMENT_SUCCEEDED, 2),
        ]
        assert page.events[0].data["payment_id"] == str(payment_id)
        assert page.events[0].subject_id == payment_id

    def test_finds_the_few_that_match_among_many(
        self, database: Database, merchant_id: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read_events, "WINDOW_EVENTS", 5)
        many = [event(merchant_id, PAYMENT_CREATED) for _ in range(23)]
        rare = event(merchant_id)
        write(database, *many)
        write(database, rare)
        filters = FeedFilters(types=(PAYMENT_SUCCEEDED,))
        await_horizon(database)
        page = read_page(database, merchant_id, filters, START, 3)
        assert [found.id for found in page.events] == [rare.id]
        assert not page.has_more

    def test_ends_after_so_many_windows_and_goes_on_there(
        self, database: Database, merchant_id: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read_events, "WINDOW_EVENTS", 3)
        monkeypatch.setattr(read_events, "WINDOWS_MAX", 2)
        rare = event(merchant_id)
        write(database, *(event(merchant_id, PAYMENT_CREATED) for _ in range(15)))
        write(database, rare)
        filters = FeedFilters(types=(PAYMENT_SUCCEEDED,))
        await_horizon(database)
        page = read_page(database, merchant_id, filters, START, 1)
        assert (page.events, page.has_more) == ([], True)
        assert read_settled(database, merchant_id, filters) == [rare.id]

    def test_keeps_within_the_times(self, database: Database, merchant_id: UUID) -> None:
        now = datetime.now(UTC)
        events = [event(merchant_id, time=now + timedelta(seconds=seconds)) for seconds in (-10, 0, 10)]
        write(database, *events)
        filters = FeedFilters(created_from=now, created_to=now + timedelta(seconds=10))
        assert read_settled(database, merchant_id, filters) == [events[1].id]
        assert read_settled(database, merchant_id, FeedFilters(created_from=now + timedelta(days=1))) == []

    def test_of_a_payment_has_its_refunds_too(self, database: Database, merchant_id: UUID) -> None:
        payment_id = uuid.uuid4()
        about = event(merchant_id, payment_id=payment_id)
        refund = event(
            merchant_id, "refund.created", payment_id=payment_id, subject_type="refund", subject_id=uuid.uuid4()
        )
        write(database, about)
        write(database, refund, event(merchant_id))
        filters = FeedFilters(payment_id=payment_id)
        assert read_settled(database, merchant_id, filters) == [about.id, refund.id]
        assert read_settled(database, None, filters) == [about.id, refund.id]
        assert read_settled(database, new_merchant(database), filters) == []

    def test_shows_events_that_have_no_payment(self, database: Database, merchant_id: UUID) -> None:
        endpoint_id = uuid.uuid4()
        one = event(
            merchant_id,
            "webhook_endpoint.disabled",
            payment_id=None,
            subject_type="webhook_endpoint",
            subject_id=endpoint_id,
        )
        write(database, one)
        found = read_event(database, merchant_id, one.id)
        assert found is not None
        assert (found.subject_type, found.subject_id) == ("webhook_endpoint", endpoint_id)

    def test_from_the_end_has_what_is_new_and_what_is_not_committed_yet(
        self, database: Database, database_address: DatabaseAddress, merchant_id: UUID
    ) -> None:
        old, open_, new = (event(merchant_id) for _ in range(3))
        write(database, old)
        await_horizon(database)
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            outbox.add(transaction, [open_])
            end = end_of_feed(database)
        write(database, new)
        await_horizon(database)
        found = read_page(database, merchant_id, FeedFilters(), end, 10)
        assert [one.id for one in found.events] == [open_.id, new.id]

    def test_begins_with_the_events_before_the_numbers(self, database: Database, merchant_id: UUID) -> None:
        """Rows that were there before the migration have no number, and the order of their ids."""
        old, new = [event(merchant_id) for _ in range(3)], event(merchant_id)
        write(database, *reversed(old))
        write(database, new)
        old_ids = "{" + ",".join(str(one.id) for one in old) + "}"
        database.run(Statement("UPDATE outbox SET xid = '0' WHERE id = ANY (:ids::uuid[])"), ids=old_ids)
        assert read_settled(database, merchant_id) == [*(one.id for one in old), new.id]


class TestPositionAfter:
    def test_is_of_the_merchants_own_events_alone(self, database: Database, merchant_id: UUID) -> None:
        one = event(merchant_id)
        write(database, one)
        assert position_after(database, None, one.id) == position_after(database, merchant_id, one.id)
        assert position_after(database, merchant_id, None) == START
        with pytest.raises(InvalidInput, match="no such event"):
            position_after(database, new_merchant(database), one.id)

    def test_has_the_number_of_the_transaction(self, database: Database, merchant_id: UUID) -> None:
        one, other = event(merchant_id), event(merchant_id)
        with database.transaction() as transaction:
            number = transaction.run(_TAKE_NUMBER)[0][0]
            outbox.add(transaction, [one, other])
        assert position_after(database, merchant_id, one.id) == Position(int(number), one.id)


class TestMatchingTypes:
    @pytest.mark.parametrize(
        ("patterns", "count"),
        [
            ("payment.succeeded", 1),
            ("payment.*", 9),
            ("refund.*,payment.failed", 4),
            ("*", len(PUBLIC_TYPES)),
            ("payment.*,payment.lost", 0),
            ("", 0),
        ],
    )
    def test_knows_families(self, patterns: str, count: int) -> None:
        assert len(matching_types(patterns)) == count

    @given(st.text(max_size=20))
    def test_shows_nothing_else(self, patterns: str) -> None:
        assert set(matching_types(patterns)) <= set(PUBLIC_TYPES)

    @given(st.lists(st.sampled_from(PUBLIC_TYPES), min_size=1, unique=True))
    def test_takes_any_set_of_types(self, types: list[str]) -> None:
        assert set(matching_types(", ".join(types))) == set(types)
