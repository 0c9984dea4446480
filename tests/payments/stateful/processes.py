"""A process that may die at any statement, and the one clock of the application and its database."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from paybridge.core.clock import SystemClock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row

# The schema's functions hide those of PostgreSQL from every statement that names none of them in full.
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS stopped_clock;
CREATE TABLE IF NOT EXISTS stopped_clock.moment (at timestamptz NOT NULL);
CREATE OR REPLACE FUNCTION stopped_clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT at FROM stopped_clock.moment';
CREATE OR REPLACE FUNCTION stopped_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT at FROM stopped_clock.moment';
TRUNCATE stopped_clock.moment;
INSERT INTO stopped_clock.moment SELECT pg_catalog.now();
"""
# The server does not crash here, so that its promise to survive one need not be paid for.
_SET_UP = "SET search_path = stopped_clock, pg_catalog, public, pg_temp; SET synchronous_commit = off"
_SET = Statement("UPDATE stopped_clock.moment SET at = :at::timestamptz")
# New rows of the API have the real time. It must not lie ahead of the stopped clock.
AHEAD_SECONDS = 3600.0


class StoppedClock:
    """The clock of the application and, through its schema, of the database. It moves when it is told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.at = SystemClock().now() + timedelta(seconds=AHEAD_SECONDS)
        with database.transaction() as transaction:
            for command in filter(str.strip, _SCHEMA.split(";\n")):
                transaction.run(Statement(command))
        self.set(self.at)

    def now(self) -> datetime:
        """Return the time at which the clock stands."""
        return self.at

    def follow(self, _: datetime) -> None:
        """Stay: the database has the same clock."""

    def move(self, seconds: float) -> None:
        """Move on by so many seconds."""
        self.set(self.at + timedelta(seconds=seconds))

    def set(self, at: datetime) -> None:
        """Stand at this time."""
        self.at = at
        self._database.run(_SET, at=at)


class ProcessDatabase(Database):
    """The connection of a process that dies at the step which the test chooses, and then makes no step more.

    Statements and commits are steps. `die_at` names one; with `after` it is still made, and
    the process dies before it learns that.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        super().__init__(address, "tests")
        self._steps_left = 0
        self._dies_after = False
        self.has_died = False

    def die_at(self, step: int, *, after: bool) -> None:
        """Die at that step, counted from 1."""
        self._steps_left, self._dies_after = step, after

    def start_again(self) -> None:
        """Be a process that lives on: a new one, if this one has died."""
        self._steps_left, self.has_died = 0, False

    def _ensure_connected(self) -> None:
        if self.has_died:
            raise DatabaseUnavailable("the process has died")
        before = self._connection
        super()._ensure_connected()
        if self._connection is not before and self._connection is not None:
            self._connection.execute_simple(_SET_UP)

    def _run_prepared(self, statement: Statement, parameters: dict[str, Any]) -> list[Row]:
        is_last = self._is_last_step()
        if is_last and not self._dies_after:
            self._die()
        rows = super()._run_prepared(statement, parameters)
        if is_last:
            self._die()
        return rows

    def _simple(self, command: str) -> None:
        is_last = command == "COMMIT" and self._is_last_step()
        if is_last and not self._dies_after:
            self._die()
        super()._simple(command)
        if is_last:
            self._die()

    def _is_last_step(self) -> bool:
        self._steps_left -= 1
        return self._steps_left == 0

    def _die(self) -> None:
        self.has_died = True
        # A server takes a moment to notice that a connection is gone. The locks shall be free at once.
        self._roll_back()
        self.close()
        raise DatabaseUnavailable("the process died here")
