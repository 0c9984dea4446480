"""A book that is built again from the events equals the live one, and what differs is named."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from local.testkit.dying_database import DyingDatabase
from local.testkit.event_log import log_events
from local.testkit.ledger import balances
from local.testkit.live import eventually
from paybridge.core.archived_months import MonthsArchived
from paybridge.core.errors import DatabaseUnavailable, LockTimeout
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.ledger import build, prove, rebuild
from paybridge.ledger.cancel_rebuild import RebuildEnded, cancel_rebuild
from paybridge.ledger.domain.journals import Transfer, reversed_journal
from paybridge.ledger.domain.proof import ENTRY_BYTES, entries_of
from paybridge.ledger.domain.rebuild import NO_ID, Rebuild, RebuildPhase, RebuildState
from paybridge.ledger.ports import RebuildServices, find_away
from paybridge.ledger.post import journals_of, post_events
from paybridge.ledger.read_ahead import ReadAhead
from paybridge.ledger.rebuild import TooManyRebuilds, _do_slice, read_rebuild, start_rebuild, work_on, work_on_rebuilds
from paybridge.ledger.seal import seal_books
from paybridge.ledger.store import books, corrections, journals, rebuilds
from paybridge.ledger.store.comparing import BothBooks, Part, read_entries, read_journals
from paybridge.ledger.switch import RebuildUnknown, switch_books
from tests.ledger.conftest import World, query, tamper

pytestmark = pytest.mark.integration


def finish(services: RebuildServices, begun: Rebuild) -> Rebuild:
    """Work on a rebuild until it ends."""
    for _ in range(1000):
        done = work_on(services, begun.id, 60.0)
        if done is None or done.state is not RebuildState.RUNNING:
            break
    found = read_rebuild(services, begun.id)
    assert found is not None
    assert found.state is not RebuildState.RUNNING, found
    return found


def rebuilt(world: World, **options: Any) -> Rebuild:
    return finish(world.services, start_rebuild(world.services, actor="ann", **{"wait_seconds": 0, **options}))


def content(database: Database, book: int) -> list[tuple[Any, ...]]:
    """Everything that events decide about a book."""
    return query(
        database,
        f"""SELECT j.event_id, j.rule, j.id, j.happened_at, t.number, t.amount_minor, d.owner AS from_owner,
                   d.kind AS from_kind, c.owner AS to_owner, c.kind AS to_kind
            FROM ledger.journals j JOIN ledger.transfers t USING (book, event_id, rule)
            JOIN ledger.accounts d ON d.id = t.debit_account JOIN ledger.accounts c ON c.id = t.credit_account
            WHERE j.book = {book} ORDER BY 1, 2, 5""",  # noqa: S608
    )


def set_month(world: World, month: str, state: str, until: datetime | None = None) -> None:
    """Bring a month of the archive to a state."""
    put = Statement("""
        INSERT INTO archive_months (month, state, restored_until, checked_at, created_at, updated_at)
        VALUES (:month::date, :state::text, :until::timestamptz, now(), now(), now())
        ON CONFLICT (month) DO UPDATE SET state = excluded.state, restored_until = excluded.restored_until
    """)
    world.database.run(put, month=month, state=state, until=until)


def sums(database: Database, book: int) -> list[tuple[Any, ...]]:
    return query(
        database,
        f"""SELECT owner, kind, currency, debits_minor, credits_minor FROM ledger.accounts WHERE book = {book}
            ORDER BY owner, kind, currency""",  # noqa: S608
    )


class TestStartRebuild:
    def test_builds_an_equal_book_with_equal_hashes(self, world: World) -> None:
        events = world.history() + world.history()
        done = rebuilt(world)
        assert done.equal
        assert done.live_hash == done.rebuilt_hash
        assert (done.differences, done.first_difference, done.unreadable) == (0, None, 0)
        assert done.events == done.journals == done.compared == len(events)
        assert content(world.database, done.book) == content(world.database, 1)
        assert sums(world.database, done.book) == sums(world.database, 1)

    def test_knows_about_how_much_there_is_to_do(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        events = world.history()
        assert start_rebuild(world.services, actor="ann").journals_expected == len(events)
        seal_books(world.database, 60.0, 0.0)
        new = world.history(1)
        assert start_rebuild(world.services, actor="ann").journals_expected == len(events) + len(new)
        monkeypatch.setattr(rebuild, "RUNNING_MAX", 3)
        monkeypatch.setattr(books, "UNSEALED_MAX", 2)
        assert start_rebuild(world.services, actor="ann").journals_expected == len(events) + 2

    def test_keeps_no_hashes_of_accounts_once_it_has_ended(self, world: World) -> None:
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        while (step := work_on(world.services, begun.id, 0.0)) and step.phase is RebuildPhase.BUILDING:
            pass
        assert rebuilt(world, switch=True).equal
        assert finish(world.services, begun).state is RebuildState.FAILED
        assert query(world.database, "SELECT name FROM ledger.rebuild_accounts") == []

    def test_leaves_the_live_book_live(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        found = query(world.database, "SELECT id, state FROM ledger.books ORDER BY id")
        assert found == [(1, "live"), (done.book, "building")]

    def test_an_empty_log_makes_an_empty_book(self, world: World) -> None:
        done = rebuilt(world)
        assert done.equal
        assert done.events == 0

    def test_the_cut_into_slices_does_not_change_the_hash(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.history(3)
        world.history(4)
        whole = rebuilt(world)
        monkeypatch.setattr(build, "SLICE_EVENTS", 3)
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 2)
        cut = rebuilt(world)
        assert (cut.equal, cut.events, cut.compared) == (True, whole.events, whole.compared)
        assert cut.rebuilt_hash == whole.rebuilt_hash

    def test_another_history_has_another_hash(self, world: World) -> None:
        world.history(1)
        before = rebuilt(world)
        world.history(1)
        assert rebuilt(world).rebuilt_hash != before.rebuilt_hash

    def test_two_may_run_at_once_and_a_third_is_refused(self, world: World) -> None:
        world.history()
        one = start_rebuild(world.services, actor="ann", wait_seconds=0)
        other = start_rebuild(world.services, actor="bob", wait_seconds=0)
        with pytest.raises(TooManyRebuilds):
            start_rebuild(world.services, actor="eve")
        assert work_on_rebuilds(world.services, 60.0) > 0
        assert finish(world.services, one).equal
        assert finish(world.services, other).equal
        assert one.book != other.book

    def test_one_that_starts_at_the_same_time_waits_and_is_counted(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("paybridge.ledger.rebuild.RUNNING_MAX", 1)
        refused: list[TooManyRebuilds] = []

        def start_another() -> None:
            with closing(Database(world.address, "another")) as own:
                try:
                    start_rebuild(world.services_over(own), actor="bob")
                except TooManyRebuilds as error:
                    refused.append(error)

        thread = threading.Thread(target=start_another)

        class Slow:
            """Ids that are asked for once the rebuilds are counted, and before this one is there."""

            def new(self) -> uuid.UUID:
                thread.start()
                # Inside a transaction PostgreSQL shows the sessions as they were when it was first asked.
                with closing(Database(world.address, "watching")) as watching:
                    eventually(lambda: not thread.is_alive() or query(watching, WAITING), "the other one")
                return Uuid7Ids().new()

        start_rebuild(replace(world.services, ids=Slow()), actor="ann")
        thread.join()
        assert len(refused) == 1


class TestOutdated:
    @pytest.mark.parametrize("phase", [RebuildPhase.BUILDING, RebuildPhase.PROVING])
    def test_one_that_runs_fails_once_another_book_is_live(
        self, world: World, monkeypatch: pytest.MonkeyPatch, phase: RebuildPhase
    ) -> None:
        monkeypatch.setattr(build, "SLICE_EVENTS", 3)
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 3)
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        while (step := work_on(world.services, begun.id, 0.0)) and step.phase is not phase:
            pass
        switch_books(world.services, rebuilt(world).id, actor="bob")
        world.happen([world.merchant().succeeded("1.00") for _ in range(5)])
        done = finish(world.services, begun)
        assert (done.state, done.phase, done.equal, done.differences) == (RebuildState.FAILED, phase, None, 0)
        assert done.failure == "Another book has become live since. Start a new rebuild."
        assert rebuilt(world).equal

    def test_a_switch_waits_for_the_slice_that_compares_with_the_live_book(self, world: World) -> None:
        world.history()
        done = rebuilt(world)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        with closing(Database(world.address)) as other, world.database.transaction() as transaction:
            _do_slice(world.services, transaction, begun, None)
            with pytest.raises(LockTimeout), other.transaction(0.1) as late:
                books.lock(late, done.live_book)


class TestArchivedMonths:
    def test_refuse_a_rebuild_until_they_are_restored(self, world: World) -> None:
        world.history()
        for state, until, advice in (
            ("archiving", None, r"2024-03 are being archived\. Try again once they are\."),
            ("archived", None, r"2024-03 are archived\. Order `paybridge archive"),
            ("restoring", world.clock.now(), r"2024-03 are archived\. Order `paybridge archive"),
        ):
            set_month(world, "2024-03-01", state, until)
            with pytest.raises(MonthsArchived, match=advice):
                start_rebuild(world.services, actor="ann")
        set_month(world, "2024-04-01", "archived")
        with pytest.raises(MonthsArchived, match="2 months from 2024-03 to 2024-04"):
            start_rebuild(world.services, actor="ann")
        assert query(world.database, "SELECT id FROM ledger.books") == [(1,)]
        for month in ("2024-03-01", "2024-04-01"):
            set_month(world, month, "restored", world.clock.now())
        assert rebuilt(world).equal

    def test_do_not_move_while_a_rebuild_is_being_stored(self, world: World) -> None:
        set_month(world, "2024-03-01", "restored", world.clock.now())
        with world.database.transaction() as transaction:
            assert find_away(world.services, transaction) == []
            with (
                closing(Database(world.address)) as archive,
                pytest.raises(LockTimeout),
                archive.transaction(0.1) as late,
            ):
                late.run(Statement("UPDATE archive_months SET state = 'archiving', restored_until = NULL"))


class TestLateCommits:
    def test_an_event_that_commits_late_is_read_and_not_skipped(self, world: World) -> None:
        merchant = world.merchant()
        late, later = merchant.succeeded("10.00"), merchant.succeeded("20.00")
        with closing(Database(world.address)) as slow, slow.transaction() as transaction:
            log_events(transaction, [late])
            world.happen([later])
            # The log ends before the transaction that is open.
            assert rebuilt(world).events == 0
        world.post([late])
        done = rebuilt(world)
        assert (done.events, done.equal) == (2, True)

    def test_the_entries_of_compared_journals_are_those_that_are_read(self, world: World) -> None:
        events = world.history()
        done = rebuilt(world)
        part = Part(1, done.book, NO_ID, uuid.UUID(int=2**128 - 1))
        with world.database.transaction() as transaction:
            entries, both = read_entries(transaction, part), read_journals(transaction, part)
        assert BothBooks(*map(entries_of, both)) == entries
        assert entries_of(both.live, without={event.id for event in events}) == {}
        # An account's entries of all events but one.
        left = entries_of(both.live, without={events[-1].id})
        assert sum(map(len, left.values())) == sum(map(len, entries.live.values())) - 2 * ENTRY_BYTES

    def test_events_after_the_cut_off_do_not_count(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 5)
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        while (step := work_on(world.services, begun.id, 0.0)) and step.phase is RebuildPhase.BUILDING:
            pass
        new = world.history()
        done = finish(world.services, begun)
        assert done.equal, done.first_difference
        assert done.compared == done.events
        assert len(new) > 0

    def test_live_events_flow_during_a_rebuild(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "SLICE_EVENTS", 20)
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 20)
        world.history(40)
        ended = threading.Event()
        flowed: list[int] = []

        def flow() -> None:
            with closing(Database(world.address)) as database:
                merchant = world_of(world, database).merchant()
                while not ended.is_set():
                    world_of(world, database).happen([merchant.succeeded("7.00"), merchant.refunded("7.00")])
                    flowed.append(2)

        thread = threading.Thread(target=flow)
        thread.start()
        try:
            eventually(lambda: len(flowed) > 2, "live events")
            done = rebuilt(world, wait_seconds=60)
        finally:
            ended.set()
            thread.join()
        assert done.equal, done.first_difference


def world_of(world: World, database: Database) -> World:
    return World(world.address, database, world.clock)


class TestDifferences:
    def test_an_event_that_the_live_book_lost_is_missing(self, world: World) -> None:
        world.history()
        lost = world.merchant().succeeded("12.34")
        log_events(world.database, [lost])
        done = rebuilt(world)
        assert done.equal is False
        assert done.live_hash != done.rebuilt_hash
        assert done.differences == 1
        found = dict(done.first_difference or {})
        assert (found["kind"], found["event_id"]) == ("missing", str(lost.id))
        assert found["account"] == "house/gateway_clearing/EUR/2"
        assert found["live"] is None
        assert [each["amount_minor"] for each in found["rebuilt"]["transfers"]] == ["1234"]

    def test_a_journal_without_an_event_is_extra(self, world: World) -> None:
        world.history()
        invented = world.merchant().succeeded("99.00")
        world.post([invented])
        done = rebuilt(world)
        found = dict(done.first_difference or {})
        assert (done.equal, found["kind"], found["event_id"]) == (False, "extra", str(invented.id))
        assert found["rebuilt"] is None

    def test_a_changed_amount_is_different_and_the_first_one_is_named(self, world: World) -> None:
        events = world.history()
        tamper(world.database, "UPDATE ledger.transfers SET amount_minor = amount_minor + 1 WHERE number = 1")
        done = rebuilt(world)
        assert done.equal is False
        assert done.differences == len(events)
        found = dict(done.first_difference or {})
        assert (found["kind"], found["event_id"]) == ("different", str(min(event.id for event in events)))
        amounts = [int(found[side]["transfers"][0]["amount_minor"]) for side in ("live", "rebuilt")]
        assert amounts == [101, 100]

    def test_the_proof_waits_for_a_live_book_that_is_behind(self, world: World) -> None:
        world.history()
        late = world.merchant().succeeded("12.34")
        log_events(world.database, [late])
        begun = start_rebuild(world.services, actor="ann", wait_seconds=30)
        assert (waiting := work_on(world.services, begun.id, 60.0)) is not None
        assert waiting.state is RebuildState.RUNNING
        assert waiting.view()["waiting_for_live_book"]
        world.post([late])
        assert finish(world.services, begun).equal

    def test_each_wait_that_was_worth_it_has_its_own_time(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 1)
        late = [world.merchant().succeeded("1.00") for _ in range(3)]
        log_events(world.database, late)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=30)
        for event in late:
            waiting = work_on(world.services, begun.id, 60.0)
            assert waiting is not None
            assert waiting.view()["waiting_for_live_book"]
            world.clock.move(20)
            world.post([event])
            while (compared := work_on(world.services, begun.id, 0.0)) and compared.compared == waiting.compared:
                pass
            assert compared is not None
            assert not compared.view()["waiting_for_live_book"]
        assert finish(world.services, begun).equal

    def test_the_proof_waits_in_vain_once(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 1)
        log_events(world.database, [world.merchant().succeeded("1.00") for _ in range(3)])
        begun = start_rebuild(world.services, actor="ann", wait_seconds=30)
        work_on(world.services, begun.id, 60.0)
        world.clock.move(31)
        done = finish(world.services, begun)
        assert (done.differences, done.view()["waiting_for_live_book"]) == (3, False)

    def test_the_proof_does_not_wait_for_ever(self, world: World) -> None:
        log_events(world.database, [world.merchant().succeeded("12.34")])
        begun = start_rebuild(world.services, actor="ann", wait_seconds=30)
        work_on(world.services, begun.id, 60.0)
        world.clock.move(29)
        assert (still := work_on(world.services, begun.id, 60.0)) is None or still.state is RebuildState.RUNNING
        world.clock.move(2)
        assert finish(world.services, begun).equal is False

    def test_an_event_that_cannot_be_read_is_counted_and_named(self, world: World) -> None:
        world.history()
        bad = world.merchant().succeeded("1.00")
        bad = replace(bad, data={**bad.data, "operation": {"type": "charge", "amount": "a lot"}})
        log_events(world.database, [bad])
        done = rebuilt(world)
        assert (done.unreadable, done.first_unreadable, done.equal) == (1, bad.id, True)


class TestCorrections:
    def correct(self, world: World, event: Event, version: int = 1) -> None:
        """Take the journal of an event back."""
        with world.database.transaction() as transaction:
            (journal,) = journals_of(transaction, [event])
            correction = replace(
                journal,
                rule=-journal.rule,
                id=uuid.uuid5(event.id, "correction"),
                happened_at=world.clock.now(),
                transfers=tuple(Transfer(each.credit, each.debit, each.amount_minor) for each in journal.transfers),
                corrects=journal.id if version == 1 else uuid.uuid4(),
                reason="a test",
            )
            journals.post(transaction, 1, [correction])

    def test_are_carried_over_with_the_proof_and_with_the_switch(self, world: World) -> None:
        events = world.history()
        self.correct(world, events[0])
        done = rebuilt(world)
        assert done.equal, done.first_difference
        self.correct(world, events[1])
        switch_books(world.services, done.id, actor="ann")
        assert content(world.database, done.book) == content(world.database, 1)
        assert sums(world.database, done.book) == sums(world.database, 1)
        assert len(query(world.database, f"SELECT 1 FROM ledger.journals WHERE book = {done.book} AND rule < 0")) == 2  # noqa: S608

    def test_of_another_version_of_the_journal_is_named_and_stays_behind(self, world: World) -> None:
        events = world.history()
        self.correct(world, events[0], version=2)
        done = rebuilt(world)
        assert (done.equal, done.differences) == (False, 1)
        found = dict(done.first_difference or {})
        assert (found["kind"], found["live"]["rule"]) == ("extra", "correction_of_charge_taken")

    def test_of_a_journal_with_other_amounts_stays_behind(self, world: World) -> None:
        merchant = world.merchant()
        wrong = merchant.succeeded("10.00")
        world.happen([wrong])
        # As by a defect that posted another amount under the same version of the rule.
        for change in (
            "UPDATE ledger.transfers SET amount_minor = 900",
            "UPDATE ledger.accounts SET debits_minor = 900 WHERE debits_minor > 0",
            "UPDATE ledger.accounts SET credits_minor = 900 WHERE credits_minor > 0",
        ):
            tamper(world.database, change)
        with world.database.transaction() as transaction:
            journal = corrections.find_journal(transaction, 1, wrong.id)
            assert journal is not None
            name = "correction_of_capture"
            journals.post(transaction, 1, [reversed_journal(journal, name, "a wrong amount", world.clock.now())])
        done = rebuilt(world)
        assert (done.equal, done.differences) == (False, 2)
        switch_books(world.services, done.id, actor="ann", accept_differences="a wrong amount")
        assert balances(world.database, merchant.merchant_id) == {("available", "EUR"): 1000}


class TestKilled:
    def test_goes_on_after_a_death_at_any_statement(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build, "SLICE_EVENTS", 7)
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 7)
        world.history(2)
        expected = rebuilt(world)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0, switch=True)
        deaths, step = 0, 1
        while (found := rebuilds.find(world.database, begun.id)) and found.state is RebuildState.RUNNING:
            with closing(DyingDatabase(world.address, step)) as database:
                try:
                    work_on(world.services_over(database), begun.id, 0.0)
                    step = 1
                except DatabaseUnavailable:
                    deaths, step = deaths + 1, step + 1
            eventually(lambda: not query(world.database, LOCKED), "the end of the session that died")
        done = finish(world.services, begun)
        assert deaths > 20
        assert (done.equal, done.rebuilt_hash) == (True, expected.rebuilt_hash)
        assert (done.events, done.compared) == (expected.events, expected.compared)
        assert done.switched_at is not None
        assert content(world.database, done.book) == content(world.database, 1)


WAITING = """
    SELECT 1 AS one FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND application_name = 'another'
"""
LOCKED = "SELECT 1 AS one FROM pg_stat_activity WHERE application_name LIKE 'dying%'"


class TestReadAhead:
    @pytest.fixture
    def prepared_by(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The threads that prepared slices, of three events each."""
        monkeypatch.setattr(build, "SLICE_EVENTS", 3)
        threads: list[str] = []
        original = build.prepare

        def prepare(*arguments: Any) -> build.PreparedSlice:
            threads.append(threading.current_thread().name.partition("_")[0])
            return original(*arguments)

        monkeypatch.setattr(build, "prepare", prepare)
        return threads

    def test_prepares_each_slice_but_the_first_while_another_is_written(
        self, world: World, prepared_by: list[str]
    ) -> None:
        world.history(2)
        done = rebuilt(world)
        assert (done.equal, done.events) == (True, 10)
        assert prepared_by.count("rebuild") >= 3
        assert content(world.database, done.book) == content(world.database, 1)
        assert sums(world.database, done.book) == sums(world.database, 1)

    def test_a_request_needs_no_second_connection(self, world: World, prepared_by: list[str]) -> None:
        world.history(2)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        while (found := read_rebuild(world.services, begun.id)) and found.state is RebuildState.RUNNING:
            continue
        assert "rebuild" not in prepared_by

    def test_what_another_worker_has_done_meanwhile_is_not_posted_again(self, world: World) -> None:
        world.history(2)
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        with closing(Database(world.address)) as other, pytest.MonkeyPatch.context() as patch:
            patch.setattr(build, "SLICE_EVENTS", 3)
            with ReadAhead(world.services) as ahead:
                with world.database.transaction() as transaction:
                    first = build.build_slice(world.services, transaction, begun, ahead)
                    rebuilds.save(transaction, first)
                later = work_on(world.services_over(other), begun.id, 0.0)
                assert later is not None
                assert ahead.take(later) is None
        done = finish(world.services, begun)
        assert (done.equal, done.events) == (True, 10)


class TestWorkOn:
    def test_another_worker_does_not_wait(self, world: World) -> None:
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        with closing(Database(world.address)) as other, world.database.transaction() as transaction:
            assert rebuilds.lock_running(transaction, begun.id) is not None
            assert work_on(world.services_over(other), begun.id, 1.0) is None

    def test_is_none_for_an_unknown_rebuild(self, world: World) -> None:
        assert work_on(world.services, uuid.uuid4(), 1.0) is None
        assert read_rebuild(world.services, uuid.uuid4()) is None

    def test_a_slice_that_the_database_refuses_fails_the_rebuild(self, world: World) -> None:
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        tamper(world.database, "ALTER TABLE ledger.transfers ADD CONSTRAINT no_more CHECK (book = 1)")
        done = finish(world.services, begun)
        assert done.state is RebuildState.FAILED
        assert "no_more" in str(done.failure)
        assert query(world.database, "SELECT name FROM ledger.rebuild_accounts") == []
        assert post_events(world.database, [world.merchant().succeeded("1.00")]).posted == 1

    def test_a_defect_fails_the_rebuild_and_is_raised(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)

        def broken(*_: Any) -> Rebuild:
            raise ValueError("house/fees/EUR/2 after house/fees/EUR/2")

        monkeypatch.setattr(rebuild, "prove_slice", broken)
        with pytest.raises(ValueError, match="after"):
            work_on_rebuilds(world.services, 60.0)
        failed = rebuilds.find(world.database, begun.id)
        assert failed is not None
        assert (failed.state, failed.failure) == (RebuildState.FAILED, "ValueError")
        assert work_on_rebuilds(world.services, 60.0) == 0

    @pytest.mark.parametrize("error", [DatabaseUnavailable("down"), LockTimeout("busy")], ids=["down", "busy"])
    def test_what_may_work_later_fails_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)

        def away(*_: Any) -> Rebuild:
            raise error

        with monkeypatch.context() as patch, pytest.raises(type(error)):
            patch.setattr(rebuild, "prove_slice", away)
            work_on_rebuilds(world.services, 60.0)
        assert finish(world.services, begun).equal


class TestCancelRebuild:
    def test_ends_one_that_is_running_and_the_second_time_changes_nothing(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(prove, "SLICE_JOURNALS", 1)
        world.history()
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        while (step := work_on(world.services, begun.id, 0.0)) and not step.compared:
            pass
        canceled = cancel_rebuild(world.services, begun.id, "bob")
        assert (canceled.state, canceled.failure) == (RebuildState.FAILED, "canceled by bob")
        assert cancel_rebuild(world.services, begun.id, "eve") == canceled == rebuilds.find(world.database, begun.id)
        assert work_on(world.services, begun.id, 60.0) is None
        assert query(world.database, "SELECT name FROM ledger.rebuild_accounts") == []
        assert rebuilt(world).equal

    def test_refuses_one_that_has_ended_or_is_unknown(self, world: World) -> None:
        done = rebuilt(world)
        with pytest.raises(RebuildEnded):
            cancel_rebuild(world.services, done.id, "bob")
        assert rebuilds.find(world.database, done.id) == done
        with pytest.raises(RebuildUnknown):
            cancel_rebuild(world.services, uuid.uuid4(), "bob")

    def test_waits_for_the_slice_that_is_being_worked_on(self, world: World) -> None:
        begun = start_rebuild(world.services, actor="ann", wait_seconds=0)
        with closing(Database(world.address, "another")) as other:
            canceling = threading.Thread(target=cancel_rebuild, args=(world.services_over(other), begun.id, "bob"))
            with world.database.transaction() as transaction:
                assert rebuilds.lock_running(transaction, begun.id)
                canceling.start()
                with closing(Database(world.address, "watching")) as watching:
                    eventually(lambda: bool(query(watching, WAITING)), "the one that cancels")
                rebuilds.save(transaction, replace(begun, events=7))
            canceling.join()
        canceled = rebuilds.find(world.database, begun.id)
        assert canceled is not None
        assert (canceled.events, canceled.canceled_by) == (7, "bob")
