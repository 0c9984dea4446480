"""The events of an archived month are replayed once the month is restored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from local.testkit.archive import partition
from paybridge.archive import choose, work
from paybridge.archive.away import ArchivedMonths
from paybridge.archive.choose import choose_months
from paybridge.archive.deadline import Deadline
from paybridge.archive.order import order_restore
from paybridge.archive.read import show_month
from paybridge.core.archived_months import AwayMonth, MonthsArchived
from paybridge.core.errors import LockTimeout
from paybridge.core.events import Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement, Transaction
from paybridge.ledger.ports import find_away
from paybridge.ledger.rebuild import start_rebuild
from paybridge.replay.domain import Replay, ReplayOrder, ReplayState
from paybridge.replay.dry_run import work_on
from paybridge.replay.ports import ReplayServices
from paybridge.replay.start import start_replay
from paybridge.wiring.rebuilds import services_over as rebuild_services_over
from tests.archive.conftest import MONTH, PAYMENTS, RUN_SECONDS, Archive

pytestmark = pytest.mark.integration

_END = Statement("UPDATE replays SET state = 'canceled', outbox_id = NULL, finished_at = now() WHERE state = 'paused'")
_PAUSE = Statement("UPDATE replays SET state = 'paused', outbox_id = NULL WHERE state = 'running'")
_END_REBUILD = Statement("""
    UPDATE ledger.rebuilds SET state = 'failed', failure = 'test', finished_at = now() WHERE id = :id::uuid
""")
_COUNT = Statement("SELECT count(*) FROM replays")
_IS_ATTACHED = Statement("SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name::text)")
_IS_FROZEN = Statement("""
    SELECT EXISTS (
        SELECT FROM pg_trigger WHERE tgname = 'archived_month_is_read_only' AND tgrelid = to_regclass(:name::text))
""")
_LEAVE = Statement("UPDATE archive_months SET state = 'archiving', restored_until = NULL")


class NothingAway:
    """Old months that are all there."""

    def find_away(self, transaction: Transaction, begin_at: datetime, end_at: datetime) -> list[AwayMonth]:
        return []


class SeenAll:
    """A consumer that would do nothing."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        return set()


def state(archive: Archive) -> str:
    """Where the month is."""
    return str((show_month(archive.database, MONTH) or {})["state"])


def services(archive: Archive) -> ReplayServices:
    return ReplayServices(archive.database, archive.clock, Uuid7Ids(), {"webhooks": SeenAll()}, ArchivedMonths())


def order(*, is_dry_run: bool) -> ReplayOrder:
    begin = datetime(MONTH.year, MONTH.month, 1, tzinfo=UTC)
    return ReplayOrder(
        consumer="webhooks",
        begin_at=begin,
        end_at=begin.replace(month=begin.month + 1),
        types=(),
        rate_per_second=100.0,
        is_dry_run=is_dry_run,
        actor="a test",
    )


def dry_run(archive: Archive) -> Replay:
    """A dry run over the month, to its end."""
    replay = start_replay(services(archive), order(is_dry_run=True))
    while replay.state is ReplayState.RUNNING:
        worked = work_on(services(archive), replay.id, 60.0)
        assert worked is not None
        replay = worked
    return replay


def test_a_replay_reads_the_events_of_a_restored_month(archive: Archive) -> None:
    everything = {"payment.succeeded": PAYMENTS}
    assert dry_run(archive).events == everything
    archive.run()
    with pytest.raises(MonthsArchived, match="`paybridge archive restore 2024-03` and begin once"):
        dry_run(archive)
    order_restore(archive.database, archive.clock, MONTH)
    with pytest.raises(MonthsArchived):
        dry_run(archive)
    archive.run()
    assert dry_run(archive).events == everything


def test_a_restored_month_stays_as_long_as_a_replay_of_it_is_open(archive: Archive) -> None:
    archive.run()
    order_restore(archive.database, archive.clock, MONTH, days=1)
    archive.run()
    start_replay(services(archive), order(is_dry_run=False))
    archive.database.run(_PAUSE)
    archive.clock.move(2 * 86400.0)
    archive.run()
    assert state(archive) == "restored"
    archive.database.run(_END)
    archive.run()
    assert state(archive) == "archived"


def test_no_replay_of_a_month_begins_once_its_archive_has_begun(archive: Archive) -> None:
    choose_months(archive.services, Deadline.after(RUN_SECONDS))
    assert state(archive) == "archiving"
    for is_dry_run in (False, True):
        with pytest.raises(
            MonthsArchived, match=r"^The facts of 2024-03 are being archived\. Try again once they are\.$"
        ):
            start_replay(services(archive), order(is_dry_run=is_dry_run))
    assert archive.database.run(_COUNT) == [[0]]


def test_a_month_stays_while_a_rebuild_of_the_books_is_running(archive: Archive) -> None:
    rebuilds = rebuild_services_over(archive.database, archive.clock, Uuid7Ids())
    archive.run()
    with pytest.raises(MonthsArchived, match="2024-03 are archived"):
        start_rebuild(rebuilds, actor="ann")
    order_restore(archive.database, archive.clock, MONTH, days=1)
    archive.run()
    begun = start_rebuild(rebuilds, actor="ann")
    archive.clock.move(2 * 86400.0)
    archive.run()
    assert state(archive) == "restored"
    archive.database.run(_END_REBUILD, id=begun.id)
    archive.run()
    assert state(archive) == "archived"


def test_a_month_beside_the_range_does_not_matter(archive: Archive) -> None:
    archive.run()
    month = order(is_dry_run=False)
    for begin, end in ((-31, 0), (31, 62)):
        beside = replace(
            month, begin_at=month.begin_at + timedelta(days=begin), end_at=month.begin_at + timedelta(days=end)
        )
        start_replay(services(archive), beside)
        touching = replace(
            beside, begin_at=beside.begin_at - timedelta(seconds=1), end_at=beside.end_at + timedelta(seconds=1)
        )
        with pytest.raises(MonthsArchived):
            start_replay(services(archive), touching)


@pytest.mark.parametrize("step", ["export_table", "_move"])
def test_a_replay_that_begins_meanwhile_keeps_the_month(
    step: str, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins in the moment before the month counts as archiving, and so is not refused."""
    if step == "_move":
        archive.run()
        order_restore(archive.database, archive.clock, MONTH, days=1)
        archive.run()
        archive.clock.move(2 * 86400.0)
    real, begun = getattr(work, step), []

    def preceded(*arguments: Any) -> Any:
        if not begun:
            unchecked = replace(services(archive), old_months=NothingAway())
            begun.append(start_replay(unchecked, order(is_dry_run=False)))
            archive.database.run(_PAUSE)
        return real(*arguments)

    monkeypatch.setattr(work, step, preceded)
    archive.run()
    assert begun
    assert archive.database.run(_IS_ATTACHED, name=partition("outbox", MONTH)) == [[True]]
    archive.database.run(_END)
    archive.run()
    assert state(archive) == "archived"


def test_a_month_that_was_never_looked_at_waits_for_a_rebuild_that_is_being_stored(archive: Archive) -> None:
    """There is no row of the month that the rebuild could lock."""
    with closing(archive.database.another()) as other, other.transaction() as transaction:
        assert find_away(rebuild_services_over(other, archive.clock, Uuid7Ids()), transaction) == []
        chosen = choose_months(archive.services, Deadline.after(RUN_SECONDS))
        assert chosen.waiting == {MONTH: choose.HELD}
    archive.clock.move(86400)
    archive.run()
    assert state(archive) == "archived"


def test_a_month_stays_for_a_rebuild_that_was_stored_after_the_look_at_it(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = choose.months.lock_choice

    def lock_choice(transaction: Transaction) -> None:
        with closing(archive.database.another()) as other:
            start_rebuild(rebuild_services_over(other, archive.clock, Uuid7Ids()), actor="ann")
        real(transaction)

    monkeypatch.setattr(choose.months, "lock_choice", lock_choice)
    chosen = choose_months(archive.services, Deadline.after(RUN_SECONDS))
    assert chosen.waiting == {MONTH: choose.JUST_READ}
    assert archive.database.run(_IS_FROZEN, name=partition("outbox", MONTH)) == [[False]]


def test_the_archive_waits_for_a_replay_that_is_being_stored(archive: Archive) -> None:
    """The month is locked between the look at its state and the commit of the replay."""
    archive.run()
    order_restore(archive.database, archive.clock, MONTH, days=1)
    archive.run()
    begin = order(is_dry_run=True).begin_at
    with closing(archive.database.another()) as other, other.transaction() as transaction:
        assert ArchivedMonths().find_away(transaction, begin, begin + timedelta(days=1)) == []
        with pytest.raises(LockTimeout), archive.database.transaction(0.1) as late:
            late.run(_LEAVE)
