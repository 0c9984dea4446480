"""A day is reconciled only while its operations are in the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest

from local.testkit.archive import payment_id
from paybridge.archive import work
from paybridge.archive.away import ArchivedMonths
from paybridge.archive.export import export_table
from paybridge.archive.order import order_restore
from paybridge.archive.read import show_month
from paybridge.core.archived_months import MonthsArchived
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.reconciliation.decide_breaks import list_breaks
from paybridge.reconciliation.domain.breaks import BreakType
from paybridge.reconciliation.domain.run import NO_ID, Run
from paybridge.reconciliation.import_statement import import_statement
from paybridge.reconciliation.log_end import log_end
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import Progress, find_reconciliation_of, start_reconciliation, work_on
from tests.archive.conftest import MONTH, Archive

pytestmark = pytest.mark.integration

HEADER = "id,operation_id,kind,amount,currency,created_at"
_COUNT = Statement("SELECT (SELECT count(*) FROM reconciliations), (SELECT count(*) FROM gateway_statements)")


def services(archive: Archive) -> ReconciliationServices:
    return ReconciliationServices(
        database=archive.database,
        clock=archive.clock,
        ids=Uuid7Ids(),
        sources={"default": None},
        postings=None,
        old_months=ArchivedMonths(),
        grace=timedelta(minutes=15),
        late_after=timedelta(hours=4),
        on_end=log_end,
    )


def state(archive: Archive) -> str:
    return str((show_month(archive.database, MONTH) or {})["state"])


def end(archive: Archive, run: Run) -> None:
    """Have the day compared with a statement that was imported."""
    for _ in range(20):
        if asyncio.run(work_on(services(archive), run.id, 5.0)) is Progress.ENDED:
            return
        archive.clock.move(61)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("day", [MONTH, date(2024, 3, 31), date(2024, 4, 8)])
def test_a_day_with_operations_in_the_archive_is_refused(day: date, archive: Archive) -> None:
    archive.run()
    with pytest.raises(MonthsArchived, match="`paybridge archive restore 2024-03` and begin once"):
        start_reconciliation(services(archive), day, "a test")
    with pytest.raises(MonthsArchived):
        import_statement(services(archive), day, "default", f"{HEADER}\n".encode(), "a test")
    assert archive.database.run(_COUNT) == [[0, 0]]


@pytest.mark.parametrize("day", [date(2024, 2, 29), date(2024, 4, 9)])
def test_a_month_beside_the_day_does_not_matter(day: date, archive: Archive) -> None:
    archive.run()
    assert start_reconciliation(services(archive), day, "a test").day == day


def test_a_day_that_was_compared_before_is_refused_too(archive: Archive) -> None:
    run = import_statement(services(archive), MONTH, "default", f"{HEADER}\n".encode(), "a test")
    end(archive, run)
    archive.run()
    assert state(archive) == "archived"
    with pytest.raises(MonthsArchived):
        start_reconciliation(services(archive), MONTH, "a test")
    found = find_reconciliation_of(services(archive), MONTH)
    assert found is not None
    assert found[0].pass_ == 1


def test_a_restored_month_stays_as_long_as_a_day_of_it_is_reconciled(archive: Archive) -> None:
    archive.run()
    order_restore(archive.database, archive.clock, MONTH, days=1)
    archive.run()
    run = import_statement(services(archive), MONTH, "default", f"{HEADER}\n".encode(), "a test")
    archive.clock.move(2 * 86_400.0)
    archive.run()
    assert state(archive) == "restored"
    end(archive, run)
    archive.run()
    assert state(archive) == "archived"


def test_a_day_that_begins_meanwhile_keeps_the_month(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """It begins in the moment before the month counts as archiving, and so is not refused."""
    real = export_table
    begun: list[Run] = []

    def preceded(*arguments: object) -> object:
        if not begun:
            with monkeypatch.context() as patch:
                patch.setattr(ArchivedMonths, "find_away", lambda *_: [])
                begun.append(import_statement(services(archive), MONTH, "default", f"{HEADER}\n".encode(), "a test"))
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "export_table", preceded)
    archive.run()
    assert state(archive) == "archiving"
    end(archive, begun[0])
    archive.run()
    assert state(archive) == "archived"


def test_a_line_of_an_archived_operation_says_so(archive: Archive) -> None:
    id_ = payment_id(archive.database, MONTH, 1)
    archive.run()
    now = datetime.now(UTC)
    day = (now - timedelta(days=1)).date()
    rows = f"ch_1,{id_},charge,10.00,EUR,{day}T12:00:00Z\nch_2,{Uuid7Ids().new()},charge,1.00,EUR,{day}T12:00:00Z"
    run = import_statement(services(archive), day, "default", f"{HEADER}\n{rows}\n".encode(), "a test")
    end(archive, run)
    found = {each.found.operation_id: each for each in list_breaks(services(archive), run.id, NO_ID, 10)}
    assert {each.found.type for each in found.values()} == {BreakType.MISSING_HERE}
    notes = sorted(each.note or "" for each in found.values())
    assert notes == ["", "its month 2024-03 is archived: restore it and reconcile the day again"]
