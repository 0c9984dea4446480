"""Journals are sealed in the order in which they became visible, each once and none skipped."""

from __future__ import annotations

from contextlib import closing

import pytest

from local.testkit.dying_database import DyingDatabase
from local.testkit.live import eventually
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.database import Database, Statement
from paybridge.ledger import seal
from paybridge.ledger.post import journals_of
from paybridge.ledger.seal import SealedCount, seal_books
from paybridge.ledger.store import journals
from paybridge.ledger.switch import switch_books
from paybridge.ledger.verify import check_seals
from tests.ledger.conftest import World, query, tamper
from tests.ledger.test_rebuild import LOCKED, rebuilt

pytestmark = pytest.mark.integration

# As long as the database needs to have another time.
AT_ONCE = 0.0


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "BLOCK_JOURNALS_MAX", 4)


def sealed(database: Database, delay_seconds: float = AT_ONCE) -> SealedCount:
    return seal_books(database, 60.0, delay_seconds)


def chain(database: Database, book: int = 1) -> list[tuple[int, int]]:
    """The numbers of a book's seals and how many journals each covers."""
    found = query(database, f"SELECT number, journals FROM ledger.seals WHERE book = {book} ORDER BY number")  # noqa: S608
    return [(number, count) for number, count in found]


class TestSealBooks:
    def test_seals_every_journal_in_blocks(self, world: World) -> None:
        events = world.history(2)
        assert sealed(world.database) == SealedCount(3, len(events))
        assert chain(world.database) == [(1, 4), (2, 4), (3, 2)]
        assert sealed(world.database) == SealedCount(0, 0)

    def test_each_seal_continues_the_one_before(self, world: World) -> None:
        world.history(2)
        sealed(world.database)
        world.history(1)
        sealed(world.database)
        hashes = query(world.database, "SELECT hash, previous_hash FROM ledger.seals ORDER BY number")
        assert [previous for _, previous in hashes[1:]] == [hash_ for hash_, _ in hashes[:-1]]

    def test_waits_for_the_delay(self, world: World) -> None:
        world.history(1)
        assert sealed(world.database, 3600.0) == SealedCount(0, 0)

    def test_a_journal_that_commits_late_is_not_skipped(self, world: World) -> None:
        merchant = world.merchant()
        with closing(Database(world.address)) as slow, slow.transaction() as transaction:
            journals.post(transaction, 1, journals_of(transaction, [merchant.charge_taken("1.00")]))
            # Another currency, so that it waits for no account.
            other = world.merchant()
            other.currency = "USD"
            world.happen([other.charge_taken("2.00")])
            assert sealed(world.database) == SealedCount(0, 0)
        assert sealed(world.database) == SealedCount(1, 2)

    def test_a_journal_is_not_skipped_if_its_transaction_began_after_that_of_a_later_one(self, world: World) -> None:
        """A transaction gets its number when it first writes, and `posted_at` is when it began."""
        first, second = world.merchant(), world.merchant()
        # Another currency, so that it waits for no account.
        second.currency = "USD"
        with (
            closing(Database(world.address)) as other,
            world.database.transaction() as older,
            other.transaction() as newer,
        ):
            journals.post(newer, 1, journals_of(newer, [second.charge_taken("2.00")]))
            journals.post(older, 1, journals_of(older, [first.charge_taken("1.00")]))
        # An hour lies between them now, and the delay ends within it.
        tamper(
            world.database, "UPDATE ledger.journals SET posted_at = posted_at - interval '1 h' WHERE currency = 'EUR'"
        )
        for order, currencies in (("xid", ["USD", "EUR"]), ("posted_at", ["EUR", "USD"])):
            found = query(world.database, f"SELECT currency FROM ledger.journals ORDER BY {order}")  # noqa: S608
            assert [currency for (currency,) in found] == currencies
        assert sealed(world.database, 1800.0) == SealedCount(0, 0)
        assert sealed(world.database) == SealedCount(1, 2)
        assert check_seals(world.services, True).holds

    def test_a_block_ends_before_the_first_journal_that_is_too_new(self, world: World) -> None:
        world.history(2)
        new = "SELECT event_id FROM ledger.journals ORDER BY xid, event_id, rule OFFSET 6 LIMIT 1"
        tamper(world.database, f"UPDATE ledger.journals SET posted_at = 'infinity' WHERE event_id = ({new})")  # noqa: S608
        assert sealed(world.database) == SealedCount(2, 6)
        assert chain(world.database) == [(1, 4), (2, 2)]

    def test_two_at_once_seal_each_journal_once(self, world: World) -> None:
        events = world.history(1)
        with closing(Database(world.address)) as other, other.transaction() as transaction:
            sealed_now = sealed(world.database)
            assert sealed_now.journals == len(events)
            transaction.run(Statement("SELECT 1 FROM ledger.seal_heads FOR UPDATE"))
            world.history(1)
            assert sealed(world.database) == SealedCount(0, 0)
        assert sealed(world.database).journals == len(events)

    def test_a_block_is_whole_or_not_there_when_the_process_dies(self, world: World) -> None:
        events = world.history(2)
        step = 1
        while True:
            with closing(DyingDatabase(world.address, step)) as database:
                try:
                    sealed(database)
                    break
                except DatabaseUnavailable:
                    step += 1
            eventually(lambda: not query(world.database, LOCKED), "the end of the session that died")
        assert step > 5
        assert sum(count for _, count in chain(world.database)) == len(events)

    def test_a_book_is_sealed_from_the_switch_on(self, world: World) -> None:
        events = world.history(2)
        done = rebuilt(world)
        sealed(world.database)
        assert chain(world.database, done.book) == []
        switch_books(world.services, done.id, actor="ann")
        assert sealed(world.database).journals == len(events)
        assert chain(world.database, done.book) == [(1, 4), (2, 4), (3, 2)]
