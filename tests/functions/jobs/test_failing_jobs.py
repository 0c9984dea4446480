"""A job that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from jobs import handler as jobs
from paybridge import wiring
from paybridge.core.errors import DatabaseUnavailable, SettingsInvalid
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.runners import jobs as runner
from paybridge.wiring import broker
from paybridge.wiring.settings import Settings
from tests.support.metrics import EmptyQueues

pytestmark = pytest.mark.integration

# The fixture below replaces these two.
ENVIRONMENT, QUEUE_DEPTHS = wiring.environment, broker.queue_depths

JOBS = {
    "new_partitions",
    "partition_days_left",
    "outbox_due",
    "stuck_payments",
    "swept",
    "swept_operations",
    "expired_authorizations",
    "open_operations",
    "late_checks",
    "notices",
    "swept_deliveries",
    "swept_events",
    "swept_notifications",
    "ended_recoveries",
    "resumed_deliveries",
    "expired_answers",
    "expired_notices",
    "expired_reviews",
    "deleted_counter_points",
    "finished_dry_runs",
    "folded_counts",
    "circuit_open",
    "queued",
    "left_dead_letters",
    "dead_letters",
}


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress) -> Iterator[None]:
    """Wire the function to the test's database."""
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
        monkeypatch.setattr(broker, "queue_depths", EmptyQueues)
        yield


def call() -> dict[str, int]:
    return jobs.handler({}, None)  # type: ignore[arg-type]


class TestFailingJobs:
    def test_every_job_runs(self) -> None:
        assert call().keys() == JOBS

    def test_a_failed_job_is_raised_after_the_others_have_run(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*arguments: object) -> None:
            raise DatabaseUnavailable("gone for this one")

        monkeypatch.setattr(runner, "sweep_stalled", fail)
        with pytest.raises(DatabaseUnavailable):
            call()
        (done,) = [vars(record) for record in caplog.records if record.message == "jobs done"]
        assert JOBS - done.keys() == {"swept"}
        (failed,) = [vars(record) for record in caplog.records if record.message == "a job failed"]
        assert failed["job"] == "sweep_payments"
        assert not failed["exc_info"]

    def test_an_error_that_is_not_ours_stops_no_other_job_and_is_logged_with_its_traceback(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*arguments: object) -> None:
            raise ValueError("secret")

        monkeypatch.setattr(runner, "sweep_stalled", fail)
        with pytest.raises(ValueError, match="secret"):
            call()
        (done,) = [vars(record) for record in caplog.records if record.message == "jobs done"]
        assert JOBS - done.keys() == {"swept"}
        (failed,) = [vars(record) for record in caplog.records if record.message == "a job failed"]
        assert (failed["job"], failed["reason"]) == ("sweep_payments", "ValueError")
        assert failed["exc_info"]

    def test_a_missing_setting_stops_only_the_job_that_reads_it(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(wiring, "environment", ENVIRONMENT)
        monkeypatch.setattr(broker, "queue_depths", QUEUE_DEPTHS)
        for name, value in {"POWERTOOLS_SERVICE_NAME": "jobs", "ENVIRONMENT_NAME": "test", "BROKER_URL": ""}.items():
            monkeypatch.setenv(name, value)
        ENVIRONMENT.cache_clear()
        with pytest.raises(SettingsInvalid, match="BROKER"):
            call()
        ENVIRONMENT.cache_clear()
        (done,) = [vars(record) for record in caplog.records if record.message == "jobs done"]
        assert JOBS - done.keys() == {"queued", "left_dead_letters"}
