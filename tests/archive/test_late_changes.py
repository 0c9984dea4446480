"""What a gateway does about an archived payment waits for the month, and is recorded once that is back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from local.testkit.archive import add_refund, partition, payment_id
from paybridge.archive import thaw
from paybridge.archive.choose import choose_months
from paybridge.archive.deadline import Deadline
from paybridge.archive.order import order_restore, order_run
from paybridge.archive.read import show_month
from paybridge.archive.work import work_on_archive
from paybridge.core.errors import LockTimeout
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Statement
from paybridge.payments.accept_notice import accept_notice
from paybridge.payments.domain.gateway_answers import Declined, GatewayAnswer, LookUpAnswer, Pending
from paybridge.payments.domain.notice import ARCHIVED_SECONDS, Claim, GatewayNotice
from paybridge.payments.find_late_changes import find_late_changes
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.work_on_notices import WorkedNotices, expire_notices, work_on_due_notices
from tests.archive.conftest import MONTH, RUN_SECONDS, Archive
from tests.support.scripted_gateway import engine_services

pytestmark = pytest.mark.integration

DAY_SECONDS = 86400.0
RESTORE = "`paybridge archive restore 2024-03`"

_SEND_CHECK = Statement("""
    INSERT INTO late_checks AS c (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at, is_sent)
    SELECT id, payment_id, merchant_id, 'late', now(), now(), true FROM operations WHERE id = :id::uuid
    ON CONFLICT (operation_id) DO UPDATE SET is_sent = true
""")
_CHECKS = Statement("""
    SELECT operation_id, is_sent, ask_at > now() + make_interval(secs => :seconds::double precision - 60)
    FROM late_checks
""")
_REFUND = Statement("SELECT o.status, p.status FROM operations o JOIN payments p ON p.id = o.payment_id "
                    "WHERE o.id = :id::uuid")  # fmt: skip
_NOTICES = Statement("SELECT outcome, work_at FROM gateway_notices")
_LATER_REFUND = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            finished_at, attempt_status, gateway_id, correlation_id, created_at, updated_at)
    SELECT uuid7_floor(now()), id, merchant_id, 'refund', 'default', 1, 'succeeded', 1, now(), now(), 'succeeded',
           're_later', 'c', now(), now()
    FROM payments WHERE id = :id::uuid RETURNING id
""")
_FROZEN = Statement("SELECT count(*) FROM pg_trigger WHERE tgname = 'archived_month_is_read_only'")
_ATTACHED = Statement("SELECT relispartition FROM pg_class WHERE oid = to_regclass(:name::text)")


class TakingBack:
    """A gateway that has taken back every refund."""

    def __init__(self) -> None:
        self.look_ups = 0

    async def send(self, _: GatewayRequest) -> GatewayAnswer:
        return Pending()

    async def find(self, _: GatewayRequest) -> LookUpAnswer:
        self.look_ups += 1
        return Declined("refund_reversed", "Taken back.")

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def gateway() -> TakingBack:
    return TakingBack()


@pytest.fixture
def engine(archive: Archive, gateway: TakingBack) -> EngineServices:
    return engine_services(archive.database, gateway, archive.clock)


def state(archive: Archive) -> tuple[str, str | None]:
    """Where the month is, and why."""
    view = show_month(archive.database, MONTH)
    assert view is not None
    return view["state"], view["reason"]


def notify(archive: Archive, operation_id: UUID) -> None:
    """A notice of the gateway that the operation has failed."""
    notice = GatewayNotice("ntc_1", "refund.reversed", operation_id, Claim.FAILED)
    accept_notice(archive.database, archive.clock, Uuid7Ids(), "default", notice)


def work_on_notices(archive: Archive) -> WorkedNotices:
    return work_on_due_notices(archive.database, archive.clock, Uuid7Ids())


def outcome(archive: Archive) -> str:
    return str(archive.database.run(_NOTICES)[0][0])


async def look(archive: Archive, engine: EngineServices, operation_id: UUID) -> list[PaymentResult]:
    """Ask the gateway, as the consumer does when the check's message comes."""
    archive.database.run(_SEND_CHECK, id=operation_id)
    return await find_late_changes(engine, [operation_id])


def checks(archive: Archive) -> list[list[Any]]:
    """The operations that are asked about, whether a message was sent, and whether the next look is in an hour."""
    return archive.database.run(_CHECKS, seconds=ARCHIVED_SECONDS)


class TestNotices:
    async def test_one_about_an_archived_refund_waits_until_the_month_is_restored(
        self, archive: Archive, engine: EngineServices
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        archive.run()
        notify(archive, refund_id)
        assert outcome(archive) == "archived"
        # However long it takes, it is looked at and reported each hour, and never deleted.
        assert work_on_notices(archive).outcomes == {}
        archive.clock.move(40 * DAY_SECONDS)
        assert expire_notices(archive.database, archive.clock) == 0
        assert list(work_on_notices(archive).archived.values()) == [MONTH]
        archive.run()
        order_restore(archive.database, archive.clock, MONTH, days=3)
        assert archive.run().restored == 1
        assert state(archive) == ("waiting", "1 notices of the gateway")
        archive.clock.move(ARCHIVED_SECONDS)
        assert list(work_on_notices(archive).outcomes.values()) == ["asked"]
        await find_late_changes(engine, [refund_id])
        assert archive.database.run(_REFUND, id=refund_id) == [["reversed", "succeeded"]]
        # It stays for as long as was ordered, and is then archived as it is now.
        order_run(archive.database)
        assert archive.run().begun == 0
        archive.clock.move(3 * DAY_SECONDS)
        assert archive.run().archived == 1
        archive.clock.move(8 * DAY_SECONDS)
        assert archive.run().dropped > 0
        order_restore(archive.database, archive.clock, MONTH)
        archive.run()
        assert state(archive) == ("restored", None)
        assert archive.database.run(_REFUND, id=refund_id) == [["reversed", "succeeded"]]

    def test_one_about_nothing_that_was_archived_is_unknown_once_the_month_is_back(self, archive: Archive) -> None:
        archive.run()
        notify(archive, payment_id(archive.database, MONTH, 10_000))
        assert outcome(archive) == "archived"
        order_restore(archive.database, archive.clock, MONTH)
        archive.run()
        archive.clock.move(ARCHIVED_SECONDS)
        assert list(work_on_notices(archive).outcomes.values()) == ["unknown"]


class TestChecks:
    async def test_one_of_a_frozen_month_is_put_off_and_the_month_thawed(
        self, archive: Archive, engine: EngineServices
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        choose_months(archive.services, Deadline.after(RUN_SECONDS))
        (result,) = await look(archive, engine, refund_id)
        assert result.outcome is PaymentOutcome.ARCHIVED
        assert result.error is not None
        assert RESTORE in result.error
        assert checks(archive) == [[refund_id, False, True]]
        reason = "1 operations that the gateway will be asked about"
        assert archive.run().waiting == {"2024-03": reason}
        assert state(archive) == ("waiting", reason)
        (result,) = await look(archive, engine, refund_id)
        assert result.outcome is PaymentOutcome.REFUND_TAKEN_BACK
        assert archive.database.run(_REFUND, id=refund_id) == [["reversed", "succeeded"]]
        archive.clock.move(DAY_SECONDS)
        assert archive.run().archived == 1

    async def test_one_of_a_month_restored_for_reading_is_put_off_and_the_month_thawed(
        self, archive: Archive, engine: EngineServices
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        archive.run()
        order_restore(archive.database, archive.clock, MONTH, days=1)
        archive.run()
        assert state(archive) == ("restored", None)
        (result,) = await look(archive, engine, refund_id)
        assert result.outcome is PaymentOutcome.ARCHIVED
        archive.run()
        assert state(archive)[0] == "waiting"
        (result,) = await look(archive, engine, refund_id)
        assert result.outcome is PaymentOutcome.REFUND_TAKEN_BACK
        archive.clock.move(DAY_SECONDS + 1)
        assert archive.run().archived == 1

    async def test_one_of_an_archived_month_is_put_off_and_the_gateway_not_asked(
        self, archive: Archive, engine: EngineServices, gateway: TakingBack
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        # The refund is of this month, and its payment is archived.
        later_id = archive.database.run(_LATER_REFUND, id=payment_id(archive.database, MONTH, 2))[0][0]
        choose_months(archive.services, Deadline.after(RUN_SECONDS))
        with pytest.MonkeyPatch.context() as patched:
            # The check is planned in the moment between the last look for open work and the first detachment.
            patched.setattr("paybridge.archive.work.thaw_if_needed", lambda *_: None)
            for id_ in (refund_id, later_id):
                archive.database.run(_SEND_CHECK, id=id_)
            assert archive.run().archived == 1
        results = await find_late_changes(engine, [refund_id, later_id])
        assert [each.outcome for each in results] == [PaymentOutcome.ARCHIVED] * 2
        assert all(RESTORE in (each.error or "") for each in results)
        assert gateway.look_ups == 0
        assert sorted(checks(archive)) == sorted([[refund_id, False, True], [later_id, False, True]])
        order_restore(archive.database, archive.clock, MONTH)
        archive.run()
        assert state(archive) == ("waiting", "2 operations that the gateway will be asked about")


class TestThaw:
    def test_a_run_that_dies_before_the_month_is_free_is_finished_by_the_next(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        choose_months(archive.services, Deadline.after(RUN_SECONDS))
        archive.database.run(_SEND_CHECK, id=refund_id)

        def locked(*_: object) -> None:
            raise LockTimeout("another transaction has it")

        with monkeypatch.context() as patched:
            patched.setattr(thaw, "retry_lock", locked)
            assert "2024-03" in work_on_archive(archive.services, RUN_SECONDS).failed
        assert state(archive)[0] == "waiting"
        assert archive.database.run(_FROZEN)[0][0] > 0
        # It is freed even where nothing is archived any more.
        off = replace(archive.services, settings=replace(archive.services.settings, after_months=0))
        worked = work_on_archive(off, RUN_SECONDS)
        assert (worked.begun, archive.database.run(_FROZEN)) == (0, [[0]])

    def test_a_month_that_has_begun_to_leave_is_not_thawed(
        self, archive: Archive, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refund_id = add_refund(archive.database, MONTH, 1)
        real, calls = thaw.tables.move, 0

        def one_table(*arguments: Any) -> Any:
            nonlocal calls
            if arguments[2] == "detached":
                calls += 1
                if calls > 1:
                    raise LockTimeout("another transaction has it")
            return real(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr("paybridge.archive.locks.TRIES_MAX", 1)
            patched.setattr(thaw.tables, "move", one_table)
            assert "2024-03" in work_on_archive(archive.services, RUN_SECONDS).failed
        assert archive.database.run(_ATTACHED, name=partition("payments", MONTH)) == [[False]]
        archive.database.run(_SEND_CHECK, id=refund_id)
        assert archive.run().archived == 1
        assert state(archive)[0] == "archived"
