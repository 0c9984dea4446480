"""Counters in a real database: exact, never falling, whatever runs at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from paybridge.core.errors import ConstraintViolated
from paybridge.database import counters
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

WRITERS, ROUNDS = 4, 60


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        database.run(Statement("TRUNCATE counters, counter_deltas"))
        yield database


def count(database: Database, times: int) -> None:
    with closing(database.another()) as own:
        for _ in range(times):
            counters.add_alone(own, {"a": 1})


def fold_until(database: Database, done: threading.Event) -> None:
    with closing(database.another()) as own:
        while not done.is_set():
            counters.fold(own, 7)


class TestCounters:
    def test_what_commits_is_counted_and_nothing_else(self, database: Database) -> None:
        with database.transaction() as transaction:
            counters.add(transaction, {"a": 2, "b": 1, "zero": 0})
        with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
            counters.add(transaction, {"a": 10})
            raise ZeroDivisionError
        counters.add_alone(database, {"a": 1})
        counters.add_alone(database, {})
        assert counters.read(database) == {"a": 3, "b": 1}

    def test_folding_changes_no_value(self, database: Database) -> None:
        for _ in range(5):
            counters.add_alone(database, {"a": 1, "b": 2})
        before = counters.read(database)
        assert [counters.fold(database, 4) for _ in range(4)] == [4, 4, 2, 0]
        assert counters.read(database) == before == {"a": 5, "b": 10}

    def test_a_counter_that_would_fall_is_refused(self, database: Database) -> None:
        counters.add_alone(database, {"a": 5})
        counters.fold(database, 10)
        with pytest.raises(ConstraintViolated) as refusal:
            database.run(Statement("UPDATE counters SET value = 4"))
        assert refusal.value.constraint == "counters_only_grow"

    def test_readers_see_every_commit_once_while_two_jobs_fold(self, database: Database) -> None:
        done = threading.Event()
        seen: list[int] = []
        with ThreadPoolExecutor() as threads:
            folding = [threads.submit(fold_until, database, done) for _ in range(2)]
            writing = [threads.submit(count, database, ROUNDS) for _ in range(WRITERS)]
            while not all(one.done() for one in writing):
                seen.append(counters.read(database).get("a", 0))
            done.set()
        assert [one.result() for one in (*writing, *folding)]
        seen.append(counters.read(database)["a"])
        assert seen == sorted(seen)
        assert seen[-1] == counters.read(database)["a"] == WRITERS * ROUNDS
