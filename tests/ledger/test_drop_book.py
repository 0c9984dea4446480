"""A retired book is dropped as a whole, and no other book or journal can be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from local.testkit.dying_database import DyingDatabase
from local.testkit.ledger import all_balances
from local.testkit.live import eventually
from paybridge.core.errors import DatabaseUnavailable, PaybridgeError
from paybridge.database.database import Database, Statement
from paybridge.ledger import drop_book as dropping
from paybridge.ledger.domain.rebuild import RebuildState
from paybridge.ledger.drop_book import BookInUse, BookUnknown, drop_book, work_on_drops
from paybridge.ledger.list_rebuilds import list_books, list_rebuilds
from paybridge.ledger.rebuild import start_rebuild
from paybridge.ledger.seal import seal_books
from paybridge.ledger.store import books
from paybridge.ledger.switch import switch_books
from tests.ledger.conftest import World, query
from tests.ledger.test_rebuild import LOCKED, finish, rebuilt

pytestmark = pytest.mark.integration

LEFT = """
    SELECT (SELECT count(*) FROM ledger.journals WHERE book = 1),
           (SELECT count(*) FROM ledger.transfers WHERE book = 1),
           (SELECT count(*) FROM ledger.accounts WHERE book = 1), (SELECT count(*) FROM ledger.seals WHERE book = 1),
           (SELECT count(*) FROM ledger.books WHERE id = 1)
"""


class TestDropBook:
    def test_removes_a_retired_book_with_all_that_is_in_it(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.history()
        seal_books(world.database, 60.0, 0.0)
        done = switch_books(world.services, rebuilt(world).id, actor="ann")
        before = all_balances(world.database)
        monkeypatch.setattr(dropping, "PART_ROWS", 7)
        assert not drop_book(world.database, 1, 0.0)
        assert [(book.id, book.state) for book in list_books(world.database)] == [(done.book, "live"), (1, "dropping")]
        assert work_on_drops(world.database, 60.0) == 1
        assert query(world.database, LEFT) == [(0, 0, 0, 0, 0)]
        assert all_balances(world.database) == before
        with pytest.raises(BookUnknown):
            drop_book(world.database, 1, 0.0)

    def test_no_part_is_larger_than_the_others(self, world: World) -> None:
        for _ in range(4):
            world.history(1)
            seal_books(world.database, 60.0, 0.0)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        ((journals, transfers, accounts, seals, _),) = query(world.database, LEFT)
        ((days,),) = query(
            world.database,
            "SELECT count(*) FROM ledger.daily_totals JOIN ledger.accounts a ON a.id = account AND a.book = 1",
        )
        with world.database.transaction() as transaction:
            books.begin_dropping(transaction, 1)
        removed = []
        while rows := books.drop_part(world.database, 1, 3):
            removed.append(rows)
        assert max(removed) == 3
        assert sum(removed) == journals + transfers + accounts + seals + days
        assert query(world.database, LEFT) == [(0, 0, 0, 0, 0)]

    def test_leaves_since_when_events_are_posted(self, world: World) -> None:
        before = query(world.database, "SELECT posting_since FROM ledger.books")
        switch_books(world.services, rebuilt(world).id, actor="ann")
        assert drop_book(world.database, 1, 60.0)
        assert query(world.database, "SELECT posting_since FROM ledger.books") == before

    def test_goes_on_after_a_death_at_any_statement(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dropping, "PART_ROWS", 10)
        world.history(2)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        step = 1
        while query(world.database, "SELECT id FROM ledger.books WHERE id = 1"):
            with closing(DyingDatabase(world.address, step)) as database:
                try:
                    drop_book(database, 1, 0.0)
                    step = 1
                except DatabaseUnavailable:
                    step += 1
            eventually(lambda: not query(world.database, LOCKED), "the end of the session that died")
        assert query(world.database, LEFT) == [(0, 0, 0, 0, 0)]

    def test_two_that_drop_a_book_at_once_wait_for_each_other(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dropping, "PART_ROWS", 3)
        world.history(2)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        assert not drop_book(world.database, 1, 0.0)

        def work(_: int) -> int:
            with closing(Database(world.address)) as database:
                return work_on_drops(database, 60.0)

        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(work, range(4))) > 0
        assert query(world.database, LEFT) == [(0, 0, 0, 0, 0)]

    def test_a_book_that_another_has_dropped_meanwhile_is_gone(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        switch_books(world.services, rebuilt(world).id, actor="ann")
        original = dropping.books.drop_part

        def dropped_before(database: Database, book: int, rows_max: int) -> int:
            assert original(world.database, book, rows_max) == 0
            return original(database, book, rows_max)

        monkeypatch.setattr(dropping.books, "drop_part", dropped_before)
        assert drop_book(world.database, 1, 60.0)

    def test_refuses_the_live_book_and_one_that_is_being_built(self, world: World) -> None:
        begun = start_rebuild(world.services, actor="ann")
        for book in (1, begun.book):
            with pytest.raises(BookInUse):
                drop_book(world.database, book, 60.0)

    def test_refuses_the_book_that_a_rebuild_compares_with(self, world: World) -> None:
        world.history(1)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        with pytest.raises(BookInUse, match="comparing"):
            drop_book(world.database, 1, 60.0)
        # It has nothing to be compared with any more, and ends.
        assert finish(world.services, begun).state is RebuildState.FAILED
        assert drop_book(world.database, 1, 60.0)

    def test_a_book_that_was_never_live_may_go(self, world: World) -> None:
        world.history(1)
        done = rebuilt(world)
        assert drop_book(world.database, done.book, 60.0)

    @pytest.mark.parametrize(
        "change",
        [
            "DELETE FROM ledger.journals",
            "DELETE FROM ledger.transfers",
            "UPDATE ledger.transfers SET amount_minor = 1",
            "TRUNCATE ledger.transfers",
            "SELECT ledger.drop_part(1::smallint, 10)",
            "UPDATE ledger.books SET state = 'dropping'",
        ],
        ids=["journals", "transfers", "amounts", "truncate", "function", "state"],
    )
    def test_nothing_removes_journals_of_the_live_book(self, world: World, change: str) -> None:
        world.history(1)
        before = query(world.database, LEFT)
        with pytest.raises(PaybridgeError):
            world.database.run(Statement(change))
        assert query(world.database, LEFT) == before

    def test_the_right_to_delete_does_not_last(self, world: World) -> None:
        world.history(1)
        switch_books(world.services, rebuilt(world).id, actor="ann")
        drop_book(world.database, 1, 60.0)
        with pytest.raises(PaybridgeError, match="permission denied"):
            world.database.run(Statement("DELETE FROM ledger.journals"))


class TestListRebuilds:
    def test_pages_newest_first(self, world: World) -> None:
        found = [rebuilt(world) for _ in range(3)]
        first = list_rebuilds(world.database, cursor=None, limit=2)
        assert first.rebuilds == [found[2], found[1]]
        rest = list_rebuilds(world.database, cursor=first.next_cursor, limit=2)
        assert (rest.rebuilds, rest.next_cursor) == ([found[0]], None)
