"""Each check is made once an hour, by one worker, and its finding is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.payments import MovableClock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.findings import Finding
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.verification.store import findings
from paybridge.verification.verify import Check, NamedFinding
from paybridge.verification.verify_hourly import count_broken, verify_next

pytestmark = pytest.mark.integration

HOLDS, BROKEN = Finding(True, 3), Finding(False, 2, "account x")


@pytest.fixture(autouse=True)
def _nothing_was_checked(database: Database) -> None:
    database.run(Statement("DELETE FROM invariant_findings"))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def other(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as other:
        yield other


def check_of(finding: Finding | Exception) -> Check:
    def check(full: bool) -> Finding:
        assert not full
        if isinstance(finding, Exception):
            raise finding
        return finding

    return check


def test_each_is_made_once_an_hour(database: Database, clock: MovableClock) -> None:
    checks = {"one": check_of(HOLDS), "two": check_of(BROKEN)}
    for _ in range(2):
        assert verify_next(database, clock, checks) == NamedFinding("one", HOLDS)
        assert verify_next(database, clock, checks) == NamedFinding("two", BROKEN)
        assert verify_next(database, clock, checks) is None
        assert findings.read(database) == {"one": True, "two": False}
        assert count_broken(database) == 1
        clock.move(3700)
    assert verify_next(database, clock, {"two": check_of(HOLDS)}) == NamedFinding("two", HOLDS)
    assert count_broken(database) == 0


def test_of_two_workers_one_makes_a_check(database: Database, other: Database, clock: MovableClock) -> None:
    assert findings.begin(other, "one", clock.now(), clock.now())
    assert verify_next(database, clock, {"one": check_of(HOLDS)}) is None
    assert findings.read(database) == {"one": None}


def test_one_that_the_database_cannot_answer_lets_the_others_go_first(database: Database, clock: MovableClock) -> None:
    checks = {"one": check_of(DatabaseUnavailable("too slow")), "two": check_of(HOLDS)}
    with pytest.raises(DatabaseUnavailable):
        verify_next(database, clock, checks)
    assert verify_next(database, clock, checks) == NamedFinding("two", HOLDS)
    assert findings.read(database) == {"one": None, "two": True}
    clock.move(3700)
    with pytest.raises(DatabaseUnavailable):
        verify_next(database, clock, checks)


@pytest.mark.parametrize(("before", "after"), [(HOLDS, None), (BROKEN, False)], ids=["held", "broken"])
def test_one_whose_statement_takes_too_long_is_not_checked(
    database: Database, clock: MovableClock, before: Finding, after: bool | None
) -> None:
    """It holds no longer. What was broken stays so, and the alarm with it."""
    assert verify_next(database, clock, {"one": check_of(before)}) == NamedFinding("one", before)
    clock.move(3700)

    def check_slowly(full: bool) -> Finding:
        with database.transaction() as transaction:
            transaction.run(Statement("SET LOCAL statement_timeout = '200ms'"))
            transaction.run(Statement("SELECT pg_sleep(20)"))
        return HOLDS

    checks: dict[str, Check] = {"one": check_slowly, "two": check_of(HOLDS)}
    reason = "The database cancelled a statement: canceling statement due to statement timeout"
    assert verify_next(database, clock, checks) == NamedFinding("one", Finding(None, 0, f"not checked: {reason}"))
    assert verify_next(database, clock, checks) == NamedFinding("two", HOLDS)
    assert findings.read(database) == {"one": after, "two": True}
