"""The audit among the long jobs: what it counts, logs and measures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.payments import captured_payment, new_merchant
from local.testkit.servers import Postgres, address_of
from paybridge import wiring
from paybridge.core.clock import FollowingClock
from paybridge.database.database import Database
from paybridge.runners.audit import GAUGE_SECONDS, AuditJob
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = pytest.mark.integration


@pytest.fixture
def database(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database of the test's own, to which the job is wired."""
    url = postgres_server.fresh_database()
    with closing(Database(address_of(url))) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        monkeypatch.setattr(wiring, "clock", FollowingClock)
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
        yield database
    postgres_server.drop_database(url)


class TestAuditJob:
    def test_the_gaps_of_the_night_are_a_metric_of_each_minute(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        now = [0.0]
        job = AuditJob(lambda: now[0])
        captured_payment(database, new_merchant(database))
        assert job(60.0) == {"audited": 2}
        expected = {
            ("OutboxGaps", of("test")): [1.0],
            ("OutboxGaps", of("test", Kind="state_differs")): [1.0],
        }
        assert metrics_of(caplog.records) == expected
        assert "an audit of the outbox found gaps" in caplog.text
        caplog.clear()
        assert job(60.0) == {"audited": 0}
        assert metrics_of(caplog.records) == {}
        now[0] += GAUGE_SECONDS
        job(60.0)
        assert metrics_of(caplog.records) == expected

    def test_without_a_gap_the_metric_is_zero(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        assert AuditJob()(60.0) == {"audited": 0}
        assert metrics_of(caplog.records) == {("OutboxGaps", of("test")): [0.0]}
