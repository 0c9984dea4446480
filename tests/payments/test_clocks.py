"""Clocks that are wrong by an hour, in one environment or in all of them, strand no payment."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

import pytest

from local.testkit.payments import MovableClock, attempt_rows, new_merchant, new_payment, outbox_rows, payment_row
from paybridge import wiring
from paybridge.core import clock as clock_module
from paybridge.core.clock import FollowingClock, SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database import health
from paybridge.database.database import Database, Statement
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.sweep import sweep_stalled
from paybridge.rabbitmq.batch import Batch
from paybridge.runners.batch import run_batch
from tests.support.scripted_gateway import LEASE_SECONDS, RecordingGateway, engine_services

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)
STALLED_AFTER_SECONDS = 60
_LEASE = Statement("""
    SELECT extract(epoch FROM available_at - now())::float8 FROM outbox
    WHERE payment_id = :id::uuid AND type = 'command.process_payment' ORDER BY id DESC LIMIT 1
""")
_PUBLISHED_LONG_AGO = Statement("""
    UPDATE outbox SET published_at = now() - interval '2 hours' WHERE payment_id = :id::uuid
""")
_PUBLISHED_NOW = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
_AGE_PAYMENT = Statement("UPDATE payments SET updated_at = now() + :by::interval WHERE id = :id::uuid")


@pytest.fixture
def payment_id(database: Database) -> uuid.UUID:
    return new_payment(database, new_merchant(database))


@pytest.fixture(params=[-HOUR, HOUR], ids=["behind", "ahead"])
def skew(request: pytest.FixtureRequest) -> timedelta:
    skew: timedelta = request.param
    return skew


def services_of(database: Database, ahead: timedelta) -> EngineServices:
    return engine_services(database, RecordingGateway(), MovableClock(ahead))


def with_machine_clock(monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> FollowingClock:
    """Let the clock of this machine be wrong, and return the clock of a new process."""

    class WrongDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + ahead

    monkeypatch.setattr(clock_module, "datetime", WrongDatetime)
    clock = FollowingClock()
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    return clock


class TestFollowing:
    async def test_a_batch_works_by_the_databases_clock(
        self, database: Database, payment_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch, skew: timedelta
    ) -> None:
        clock = with_machine_clock(monkeypatch, skew)
        monkeypatch.setattr(wiring, "database", lambda: database)
        services = engine_services(database, RecordingGateway(), clock)

        async def work(batch: Batch) -> Mapping[str, int]:
            await run_operations(services, [OperationOrder(payment_id, 1)])
            return {}

        await run_batch(Batch(), work, 5.0)
        (attempt,) = attempt_rows(database, payment_id)
        now = health.ping(database)
        for moment in (attempt["started_at"], attempt["finished_at"], payment_row(database, payment_id)["updated_at"]):
            assert abs(datetime.fromisoformat(moment) - now) < timedelta(minutes=1)

    def test_the_sweep_finds_what_has_stalled_and_nothing_else(
        self, database: Database, payment_id: uuid.UUID, monkeypatch: pytest.MonkeyPatch, skew: timedelta
    ) -> None:
        clock = with_machine_clock(monkeypatch, skew)
        clock.follow(health.ping(database))
        database.run(_AGE_PAYMENT, id=payment_id, by="-2 hours")
        database.run(_PUBLISHED_NOW, id=payment_id)
        assert payment_id not in swept(database, clock)
        database.run(_PUBLISHED_LONG_AGO, id=payment_id)
        assert payment_id in swept(database, clock)


class TestStampsOfOthers:
    """Rows that another environment wrote while its clock was wrong."""

    async def test_a_lease_lasts_no_longer_than_it_should(
        self, database: Database, payment_id: uuid.UUID, skew: timedelta
    ) -> None:
        start_attempts(services_of(database, skew), [OperationOrder(payment_id, 1)], GatewayWatch())
        services = services_of(database, timedelta())
        outcomes = [result.outcome for result in await run_operations(services, [OperationOrder(payment_id, 1)])]
        if outcomes == ["deferred"]:
            ((seconds,),) = database.run(_LEASE, id=payment_id)
            assert 0 < seconds <= LEASE_SECONDS
            outcomes = [result.outcome for result in await run_operations(services, [OperationOrder(payment_id, 2)])]
        assert outcomes == ["succeeded"]

    def test_a_payment_that_changed_in_the_future_is_swept(self, database: Database, payment_id: uuid.UUID) -> None:
        database.run(_AGE_PAYMENT, id=payment_id, by="1 hour")
        database.run(_PUBLISHED_LONG_AGO, id=payment_id)
        assert payment_id in swept(database, SystemClock())


class TestSweep:
    def test_what_was_just_published_is_not_sent_again(self, database: Database, payment_id: uuid.UUID) -> None:
        database.run(_AGE_PAYMENT, id=payment_id, by="-2 hours")
        database.run(_PUBLISHED_LONG_AGO, id=payment_id)
        assert payment_id in swept(database, SystemClock())
        # The command of that sweep waits in the outbox, and then in the queue.
        assert payment_id not in swept(database, SystemClock())
        database.run(_PUBLISHED_NOW, id=payment_id)
        assert payment_id not in swept(database, SystemClock())
        assert [row["type"] for row in outbox_rows(database, payment_id)].count("command.process_payment") == 1
        database.run(_PUBLISHED_LONG_AGO, id=payment_id)
        assert payment_id in swept(database, SystemClock())


def swept(database: Database, clock: FollowingClock | SystemClock) -> list[uuid.UUID]:
    return [payment.id for payment in sweep_stalled(database, clock, Uuid7Ids(), STALLED_AFTER_SECONDS)]
