"""A rebuilt book becomes the live one without losing or doubling a posting, also when a rule was wrong."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from local.testkit.dying_database import DyingDatabase
from local.testkit.event_log import log_events
from local.testkit.ledger import all_balances, balances
from local.testkit.live import eventually
from paybridge.access.domain.fees import FeeChange
from paybridge.core.errors import DatabaseUnavailable, LockTimeout
from paybridge.core.events import Event
from paybridge.database.database import Database
from paybridge.ledger import build, drop_book, post, switch
from paybridge.ledger.domain import rules
from paybridge.ledger.domain.accounts import AccountKind
from paybridge.ledger.domain.rules import RULES, Amount, Move, PostingRule
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.rebuild import start_rebuild
from paybridge.ledger.store import rebuilds
from paybridge.ledger.switch import RebuildUnknown, SwitchRefused, catch_up, switch_books
from tests.ledger.conftest import World, query, tamper
from tests.ledger.test_rebuild import LOCKED, finish, rebuilt, set_month

pytestmark = pytest.mark.integration


def live_book(database: Database) -> int:
    ((book,),) = query(database, "SELECT id FROM ledger.books WHERE state = 'live'")
    return int(book)


def doubled(database: Database) -> list[tuple[object, ...]]:
    """Accounts of the live book whose totals are not the sum of their transfers."""
    return query(
        database,
        """SELECT a.id FROM ledger.accounts a JOIN ledger.books b ON b.id = a.book AND b.state = 'live'
           WHERE a.debits_minor <> coalesce((SELECT sum(amount_minor) FROM ledger.transfers
                                             WHERE debit_account = a.id), 0)
              OR a.credits_minor <> coalesce((SELECT sum(amount_minor) FROM ledger.transfers
                                              WHERE credit_account = a.id), 0)""",
    )


class TestSwitchBooks:
    def test_readers_and_postings_go_to_the_new_book(self, world: World) -> None:
        world.history()
        before = all_balances(world.database)
        done = rebuilt(world)
        switched = switch_books(world.services, done.id, actor="ann")
        assert switched.switched_by == "ann"
        assert live_book(world.database) == done.book
        assert all_balances(world.database) == before
        world.happen([world.merchant().succeeded("5.00")])
        assert rows_of(world.database, done.book) == rows_of(world.database, 1) + 1

    def test_the_second_time_changes_nothing(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        first = switch_books(world.services, done.id, actor="ann")
        assert switch_books(world.services, done.id, actor="bob") == first

    def test_what_has_committed_since_is_posted_with_the_switch(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        merchant = world.merchant()
        consumed, waiting = merchant.succeeded("5.00"), merchant.succeeded("6.00")
        world.happen([consumed])
        log_events(world.database, [waiting])
        switch_books(world.services, done.id, actor="ann")
        # The first came to the old book only, and no broker delivers it again.
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 1100}
        world.post([consumed, waiting])
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 1100}

    def test_an_open_transaction_does_not_hide_what_the_live_book_has(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        merchant = world.merchant()
        with closing(Database(world.address)) as slow, slow.transaction() as transaction:
            log_events(transaction, [world.merchant().succeeded("1.00")])
            world.happen([merchant.succeeded("5.00")])
            switch_books(world.services, done.id, actor="ann")
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 500}

    def test_is_done_by_the_rebuild_if_it_was_ordered_with_it(self, world: World) -> None:
        world.history()
        done = rebuilt(world, switch=True)
        assert (done.equal, done.switched_by, done.switch_reason) == (True, "ann", None)
        assert live_book(world.database) == done.book

    def test_books_that_differ_are_not_switched_by_the_rebuild(self, world: World) -> None:
        log_events(world.database, [world.merchant().succeeded("1.00")])
        done = rebuilt(world, switch=True)
        assert (done.equal, done.switched_at) == (False, None)
        assert live_book(world.database) == 1

    def test_waits_until_every_month_is_restored(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        set_month(world, "2024-03-01", "archived")
        for accepted in (None, "a wrong rule"):
            with pytest.raises(SwitchRefused, match="2024-03 are archived") as refused:
                switch_books(world.services, done.id, actor="ann", accept_differences=accepted)
            assert refused.value.code == "months_archived"
        assert live_book(world.database) == 1
        set_month(world, "2024-03-01", "restored", world.clock.now())
        assert switch_books(world.services, done.id, actor="ann").switched_by == "ann"
        # It was switched, whatever has gone since.
        set_month(world, "2024-03-01", "archived")
        assert switch_books(world.services, done.id, actor="ann").switched_by == "ann"

    def test_books_that_differ_need_a_reason(self, world: World) -> None:
        log_events(world.database, [world.merchant().succeeded("1.00")])
        done = rebuilt(world)
        with pytest.raises(SwitchRefused, match="differ") as refused:
            switch_books(world.services, done.id, actor="ann")
        assert refused.value.code == "books_differ"
        switched = switch_books(world.services, done.id, actor="ann", accept_differences="lost in an outage")
        assert switched.switch_reason == "lost in an outage"
        assert live_book(world.database) == done.book

    def test_a_rebuild_that_runs_is_not_switched(self, world: World) -> None:
        world.history()
        begun = start_rebuild(world.services, actor="ann")
        with pytest.raises(SwitchRefused) as refused:
            switch_books(world.services, begun.id, actor="ann")
        assert refused.value.code == "rebuild_not_finished"

    def test_of_two_proved_books_the_second_is_outdated(self, world: World) -> None:
        world.history()
        one, other = rebuilt(world), rebuilt(world)
        switch_books(world.services, one.id, actor="ann")
        with pytest.raises(SwitchRefused) as refused:
            switch_books(world.services, other.id, actor="bob")
        assert refused.value.code == "rebuild_outdated"
        assert live_book(world.database) == one.book

    @pytest.mark.parametrize("part_rows", [1, 10_000], ids=["dropping", "dropped"])
    def test_a_book_that_was_dropped_is_outdated(
        self, world: World, monkeypatch: pytest.MonkeyPatch, part_rows: int
    ) -> None:
        monkeypatch.setattr(drop_book, "PART_ROWS", part_rows)
        world.history()
        done = rebuilt(world)
        assert drop_book.drop_book(world.database, done.book, 60.0 if part_rows > 1 else 0.0) is (part_rows > 1)
        world.happen([world.merchant().succeeded("1.00")])
        with pytest.raises(SwitchRefused, match="dropped") as refused:
            switch_books(world.services, done.id, actor="ann")
        assert refused.value.code == "rebuild_outdated"
        assert live_book(world.database) == 1

    def test_an_unknown_rebuild(self, world: World) -> None:
        with pytest.raises(RebuildUnknown):
            switch_books(world.services, uuid.uuid4(), actor="ann")

    def test_is_whole_or_not_there_when_the_process_dies(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "SLICE_EVENTS", 3)
        world.history()
        done = rebuilt(world)
        merchant = world.merchant()
        world.happen([merchant.succeeded("1.00") for _ in range(7)])
        step = 1
        while True:
            with closing(DyingDatabase(world.address, step)) as database:
                try:
                    switch_books(world.services_over(database), done.id, actor="ann")
                    break
                except DatabaseUnavailable:
                    step += 1
            eventually(lambda: not query(world.database, LOCKED), "the end of the session that died")
            assert live_book(world.database) == 1
        assert step > 10
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 700}
        assert not doubled(world.database)

    def test_more_than_fits_into_one_switch_is_refused(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(switch, "LAST_EVENTS_MAX", 3)
        done = rebuilt(world)
        merchant = world.merchant()
        with closing(Database(world.address)) as slow, slow.transaction() as transaction:
            log_events(transaction, [world.merchant().succeeded("1.00")])
            world.happen([merchant.succeeded("1.00") for _ in range(4)])
            with pytest.raises(switch.LockTimeout, match="long transaction"):
                switch_books(world.services, done.id, actor="ann")
        assert live_book(world.database) == 1
        switch_books(world.services, done.id, actor="ann")
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 400}

    def test_does_not_pass_by_what_another_switch_is_still_posting(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(switch, "SLICE_EVENTS", 3)
        done = rebuilt(world)
        merchant = world.merchant()

        def caught_up_before_the_other(services: RebuildServices, rebuild_id: uuid.UUID, reason: str | None) -> None:
            catch_up(services, rebuild_id, reason)
            world.happen([merchant.succeeded("1.00") for _ in range(7)])
            with world.database.transaction() as transaction:
                locked = rebuilds.lock(transaction, rebuild_id)
                assert locked is not None
                slice_, is_last = switch.catch_up_slice(services, transaction, locked)
                rebuilds.save(transaction, slice_)
            assert not is_last

        with monkeypatch.context() as interleaved:
            interleaved.setattr(switch, "catch_up", caught_up_before_the_other)
            with pytest.raises(LockTimeout, match="another switch"):
                switch_books(world.services, done.id, actor="ann")
        assert live_book(world.database) == 1
        switch_books(world.services, done.id, actor="bob")
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 700}
        assert rows_of(world.database, done.book) == rows_of(world.database, 1)

    def test_catches_up_before_it_switches_also_when_that_takes_several_requests(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(switch, "SLICE_EVENTS", 3)
        monkeypatch.setattr(switch, "CATCH_UPS_MAX", 1)
        done = rebuilt(world)
        merchant = world.merchant()
        world.happen([merchant.succeeded("1.00") for _ in range(7)])
        for _ in range(2):
            with pytest.raises(LockTimeout, match="behind the log"):
                switch_books(world.services, done.id, actor="ann")
            assert live_book(world.database) == 1
        switch_books(world.services, done.id, actor="ann")
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 700}

    def test_postings_at_the_same_moment_are_in_the_book_that_is_live_afterwards(self, world: World) -> None:
        world.history()
        merchants = [world.merchant() for _ in range(3)]
        ended = threading.Event()
        counts = [0, 0, 0]

        def flow(number: int) -> None:
            with closing(Database(world.address)) as database:
                own = World(world.address, database, world.clock)
                while not ended.is_set():
                    event = merchants[number].succeeded("1.00")
                    log_events(database, [event])
                    while not own_post(own, event):
                        pass
                    counts[number] += 1

        threads = [threading.Thread(target=flow, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            books = []
            for _ in range(3):
                books.append(rebuilt(world, switch=True, wait_seconds=60))
                seen = sum(counts)
                eventually(lambda seen=seen: sum(counts) > seen + 3, "live events")  # type: ignore[misc]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert all(book.switched_at is not None for book in books), books
        assert live_book(world.database) == books[-1].book
        for merchant, count in zip(merchants, counts, strict=True):
            assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 100 * count}
        assert not doubled(world.database)


def own_post(world: World, event: Event) -> bool:
    """Post an event as the consumer does, which tries again when the live book is held."""
    report = post.post_events(world.database, [event])
    assert not report.refused
    return not report.locked


def rows_of(database: Database, book: int) -> int:
    ((count,),) = query(database, f"SELECT count(*) FROM ledger.journals WHERE book = {book}")  # noqa: S608
    return int(count)


class TestAWrongRule:
    """The fee of a capture is booked the wrong way round: found, fixed, rebuilt and switched."""

    @staticmethod
    def wrong() -> tuple[PostingRule, ...]:
        return with_capture(1, Move(AccountKind.FEES, AccountKind.AVAILABLE, Amount.FEE))

    @staticmethod
    def fixed() -> tuple[PostingRule, ...]:
        return with_capture(2, Move(AccountKind.AVAILABLE, AccountKind.FEES, Amount.FEE))

    def use(self, monkeypatch: pytest.MonkeyPatch, used: Sequence[PostingRule]) -> None:
        """Let the consumer post by these rules, as after a deployment."""
        original = rules.journal_of

        def journal_of(event: Event, fees: Sequence[FeeChange] = (), given: Sequence[PostingRule] = RULES) -> Any:
            return original(event, fees, used if given is RULES else given)

        monkeypatch.setattr(post, "journal_of", journal_of)

    def test_is_found_fixed_rebuilt_and_switched(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        merchant = world.merchant()
        tamper(
            world.database,
            f"""INSERT INTO merchant_fees VALUES ('{merchant.merchant_id}', '2020-01-01', '{{"percent": "10"}}')""",  # noqa: S608
        )
        self.use(monkeypatch, self.wrong())
        captured = [merchant.succeeded("100.00"), merchant.succeeded("50.00")]
        refunded = merchant.refunded("20.00")
        world.happen([*captured, refunded])
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 16500 - 2000}

        # Found: the rule is fixed under a new version, and a rebuild by it names what it posts otherwise.
        services = replace(world.services, rules=self.fixed(), rules_version=2)
        done = finish(services, start_rebuild(services, actor="ann", wait_seconds=0))
        assert (done.equal, done.differences) == (False, 2)
        found = dict(done.first_difference or {})
        assert (found["kind"], found["event_id"]) == ("different", str(captured[0].id))
        assert found["account"] == "house/fees/EUR/2"
        assert (found["live"]["rule_version"], found["rebuilt"]["rule_version"]) == (1, 2)

        # Deployed: what comes from now on is posted by the fixed rule, late and again delivered events too.
        self.use(monkeypatch, self.fixed())
        late = merchant.succeeded("10.00")
        log_events(world.database, [late])
        switch_books(services, done.id, actor="ann", accept_differences="the fee was booked the wrong way round")
        right = {("available", "EUR"): 13500 - 2000 + 900}
        assert balances(world.database, merchant.merchant_id) == right
        assert balances(world.database, None)["fees", "EUR"] == 1600
        world.post([*captured, late, refunded, late])
        assert balances(world.database, merchant.merchant_id) == right
        world.happen([merchant.succeeded("10.00")])
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): right["available", "EUR"] + 900}
        assert not doubled(world.database)

        # And proved: another rebuild by the fixed rule is equal.
        again = finish(services, start_rebuild(services, actor="ann", wait_seconds=0))
        assert again.equal, again.first_difference

    def test_a_book_of_older_rules_is_not_switched_to(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        newer = replace(world.services, rules=self.fixed(), rules_version=2)
        with pytest.raises(SwitchRefused) as refused:
            switch_books(newer, done.id, actor="ann")
        assert refused.value.code == "rebuild_outdated"
        assert rebuilds.find(world.database, done.id) == done


def with_capture(version: int, fee: Move) -> tuple[PostingRule, ...]:
    """The rules with another last move of the capture."""
    return tuple(
        replace(rule, version=version, moves=(*rule.moves[:-1], fee)) if rule.name == "capture" else rule
        for rule in RULES
    )
