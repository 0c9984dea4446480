"""Long jobs take turns until nothing is left to do or the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from long_jobs import handler as long_jobs
from paybridge import wiring
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.services import Service
from paybridge.ledger.post import post_events
from paybridge.runners.analytics import REST_SECONDS, AnalyticsJob
from paybridge.runners.long_jobs import JOBS, TURN_SECONDS_MAX, run_long_jobs
from paybridge.runners.verification import verify_invariants
from paybridge.wiring.settings import Settings
from tests.support.analytics import World
from tests.support.feed import await_horizon
from tests.support.metrics import metrics_of, of

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress) -> Iterator[None]:
    """Wire the function to the test's database."""
    with closing(Database(database_address)) as database:
        monkeypatch.setattr(wiring, "database", lambda: database)
        services: dict[Service, Database] = {}

        def database_of(service: Service) -> Database:
            return services.setdefault(service, Database(database_address, service=service))

        monkeypatch.setattr(wiring, "database_of", database_of)
        yield
        for opened in services.values():
            opened.close()


@dataclass
class Work:
    """Jobs that share a clock: each has so many slices to do, and each slice takes its seconds."""

    now: float = 0.0
    turns: list[tuple[str, float]] = field(default_factory=list)

    def job(self, name: str, slices: int, seconds: float = 1.0) -> Callable[[float], dict[str, int]]:
        left = [slices]

        def work(seconds_max: float) -> dict[str, int]:
            self.turns.append((name, seconds_max))
            done = 0
            ends_at = self.now + seconds_max
            while left[0] and self.now < ends_at:
                left[0] -= 1
                self.now += seconds
                done += 1
            return {name: done}

        work.__name__ = name
        return work

    def monotonic(self) -> float:
        return self.now


def fail(seconds_max: float) -> dict[str, int]:
    raise DatabaseUnavailable("gone for this one")


class TestRunLongJobs:
    def test_without_work_each_job_is_asked_once(self) -> None:
        work = Work()
        assert run_long_jobs(45, [work.job("a", 0), work.job("b", 0)], work.monotonic) == {"a": 0, "b": 0}
        assert [name for name, _ in work.turns] == ["a", "b"]

    def test_jobs_with_work_take_turns_until_it_is_done(self) -> None:
        work = Work()
        assert run_long_jobs(45, [work.job("a", 15), work.job("b", 3)], work.monotonic) == {"a": 15, "b": 3}
        assert [name for name, _ in work.turns] == ["a", "b", "a", "b", "a"]
        assert work.turns[0] == ("a", TURN_SECONDS_MAX)

    def test_nothing_begins_after_the_end(self) -> None:
        work = Work()
        counts = run_long_jobs(25, [work.job("a", 100), work.job("b", 100)], work.monotonic)
        assert counts == {"a": 15, "b": 10}
        assert work.turns == [("a", 10.0), ("b", 10.0), ("a", 5.0)]

    def test_without_time_nothing_begins(self) -> None:
        work = Work()
        assert run_long_jobs(-1.0, [work.job("a", 1)], work.monotonic) == {}

    def test_a_failed_job_is_raised_after_the_others_are_done(self, caplog: pytest.LogCaptureFixture) -> None:
        work = Work()
        with pytest.raises(DatabaseUnavailable, match="gone for this one"):
            run_long_jobs(45, [fail, work.job("a", 12)], work.monotonic)
        (done,) = [vars(record) for record in caplog.records if record.message == "long jobs done"]
        assert done["a"] == 12
        (failed,) = [vars(record) for record in caplog.records if record.message == "a job failed"]
        assert failed["job"] == "fail"

    def test_an_error_that_is_not_ours_stops_no_other_job_and_is_logged_with_its_traceback(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail_oddly(seconds_max: float) -> dict[str, int]:
            raise ValueError("secret")

        work = Work()
        with pytest.raises(ValueError, match="secret"):
            run_long_jobs(45, [fail_oddly, fail, work.job("a", 12)], work.monotonic)
        (done,) = [vars(record) for record in caplog.records if record.message == "long jobs done"]
        assert done["a"] == 12
        failed = {vars(each)["job"]: each for each in caplog.records if each.message == "a job failed"}
        assert vars(failed["fail_oddly"])["reason"] == "ValueError"
        assert failed["fail_oddly"].exc_info
        assert not failed["fail"].exc_info


# What is done about a payment that succeeded.
UPDATED = {"analytics_events": 2, "analytics_deliveries": 0, "analytics_days": 1, "analytics_deleted": 0}


class TestAnalytics:
    def test_they_rest_once_they_are_up_to_date(self, database: Database) -> None:
        world, work = World(database, new_merchant(database)), Work()
        job = AnalyticsJob(work.monotonic)
        world.write(*world.payment(("succeeded", 1)))
        await_horizon(database)
        assert job(10.0) == UPDATED
        world.write(*world.payment(("succeeded", 1)))
        await_horizon(database)
        assert job(10.0) == {}
        work.now += REST_SECONDS
        world.rest_nothing()
        assert job(10.0) == UPDATED
        assert world.day()["succeeded"] == 2

    def test_the_function_runs_them(self) -> None:
        assert any(isinstance(job, AnalyticsJob) for job in JOBS)


class TestVerification:
    def test_a_broken_invariant_is_logged_and_counted(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
        merchant = MoneyEvents(new_merchant(database))
        post_events(database, [merchant.succeeded("1.00")])
        database.run(Statement("UPDATE ledger.accounts SET debits_minor = debits_minor + 1 WHERE owner IS NULL"))
        counts = [verify_invariants(10.0) for _ in range(8)]
        assert counts == [{"verified_invariants": 1}] * 7 + [{}]
        # The event log of these tests names payments that neither exist nor are in the books.
        found = {vars(each)["check"] for each in caplog.records if each.message == "an invariant does not hold"}
        assert found >= {"balances", "debits_equal_credits"}
        assert found.isdisjoint({"payouts", "seals", "payments_equal_events"})
        assert metrics_of(caplog.records)["BrokenInvariants", of("test")][-1] == len(found)

    def test_the_function_runs_it(self) -> None:
        assert verify_invariants in JOBS


class TestHandler:
    def test_it_works_until_a_margin_before_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[float] = []
        monkeypatch.setattr(long_jobs.long_jobs, "JOBS", [lambda seconds: asked.append(seconds) or {"slices": 0}])

        @dataclass
        class Context:
            def get_remaining_time_in_millis(self) -> int:
                return 20_000

        assert long_jobs.handler({}, Context()) == {"slices": 0}  # type: ignore[arg-type]
        (seconds,) = asked
        assert 0 < seconds <= 20 - long_jobs.MARGIN_SECONDS
