"""Choose months to archive, and leave none of those that stay read-only."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import date

import pytest

from local.testkit.archive import fill_month, partition, payment_id
from local.testkit.locks import held
from paybridge.archive import choose, locks, thaw
from paybridge.archive.deadline import Deadline
from paybridge.archive.ports import ArchiveServices
from paybridge.archive.read import show_month
from paybridge.archive.work import work_on_archive
from paybridge.database.database import Statement
from tests.archive.conftest import MONTH, RUN_SECONDS, Archive, Killed, dying

pytestmark = pytest.mark.integration

NEXT_MONTH = date(2024, 4, 1)
_CHANGE = Statement("UPDATE payments SET refunding_minor = 1 WHERE id = :id::uuid")
_CHECK = Statement("""
    INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at)
    SELECT id, id, merchant_id, 'late', now(), now() FROM payments WHERE id = :id::uuid
""")
_FROZEN = Statement("SELECT count(*) FROM pg_trigger WHERE tgname = 'archived_month_is_read_only'")


def look_of(archive: Archive, month: date = MONTH) -> tuple[str, str | None] | None:
    """The state of a month with the reason, None if it was never looked at."""
    view = show_month(archive.database, month)
    return None if view is None else (view["state"], view["reason"])


def frozen(archive: Archive) -> int:
    """How many tables are read-only."""
    count: int = archive.database.run(_FROZEN)[0][0]
    return count


def switched_off(archive: Archive) -> list[ArchiveServices]:
    """The services with each setting by which the month would not be chosen any more."""
    settings = archive.services.settings
    changed = replace(settings, bucket=""), replace(settings, after_months=0), replace(settings, after_months=1200)
    return [replace(archive.services, settings=each) for each in changed]


class TestKilledChoice:
    @pytest.mark.parametrize("number", range(3))
    def test_the_next_run_frees_the_month_whatever_the_settings_say(
        self, number: int, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(choose.partitions, "freeze", dying(choose.partitions.freeze, after=True))
            with pytest.raises(Killed):
                archive.run()
        assert (look_of(archive), frozen(archive)) == (("waiting", choose.LOOKED_AT), 2)
        worked = work_on_archive(switched_off(archive)[number], RUN_SECONDS)
        assert (worked.begun, worked.failed, frozen(archive)) == (0, {}, 0)
        archive.database.run(_CHANGE, id=payment_id(archive.database, MONTH, 1))

    def test_the_next_run_looks_at_the_month_again(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(choose, "_note", dying(choose._note, after=False, call_number=1))
            with pytest.raises(Killed):
                archive.run()
        assert archive.run().archived == 1

    def test_open_work_frees_the_month(self, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
        id_ = payment_id(archive.database, MONTH, 1)
        with monkeypatch.context() as patched:
            patched.setattr(choose, "_note", dying(choose._note, after=False, call_number=1))
            with pytest.raises(Killed):
                archive.run()
        # Work that was written before the freeze, and is seen by the next run only.
        archive.database.run(_CHECK, id=id_)
        assert list(archive.run().waiting) == ["2024-03"]
        archive.database.run(_CHANGE, id=id_)


class TestHeldTables:
    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(locks, "TRIES_MAX", 1)
        monkeypatch.setattr(thaw, "UNFREEZE_TRIES_MAX", 1)

    def test_a_report_of_a_table_without_partitions_keeps_its_month_alone(self, archive: Archive) -> None:
        fill_month(archive.database, archive.merchant_id, NEXT_MONTH, 5, into_default=True)
        with held(archive.address, "LOCK TABLE outbox_default IN ACCESS SHARE MODE"):
            chosen = choose.choose_months(archive.services, Deadline.after(RUN_SECONDS))
        assert (chosen.begun, chosen.waiting) == ([MONTH], {NEXT_MONTH: choose.HELD})
        assert look_of(archive, NEXT_MONTH) == ("waiting", choose.HELD)
        archive.clock.move(choose.LOOK_AGAIN.total_seconds())
        assert archive.run().archived == 2

    def test_a_report_that_keeps_a_month_frozen_keeps_no_other(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill_month(archive.database, archive.merchant_id, NEXT_MONTH, 5)
        id_ = payment_id(archive.database, MONTH, 1)
        real, looks = choose._why_it_stays, 0
        with ExitStack() as report:

            def check_that_comes_late(*arguments: object) -> str | None:
                # It is written once the partitions are frozen, while a report reads one.
                nonlocal looks
                looks += 1
                if looks == 2:
                    report.enter_context(held(archive.address, f"SELECT FROM {partition('payments', MONTH)} LIMIT 1"))
                    archive.database.run(_CHECK, id=id_)
                return real(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(choose, "_why_it_stays", check_that_comes_late)
            worked = archive.run()
        reason = "1 operations that the gateway will be asked about"
        assert (worked.archived, worked.waiting) == (1, {"2024-03": reason})
        assert look_of(archive) == ("waiting", reason)
        with pytest.raises(Exception, match="archived or restored"):
            archive.database.run(_CHANGE, id=id_)
        archive.run()
        archive.database.run(_CHANGE, id=id_)
