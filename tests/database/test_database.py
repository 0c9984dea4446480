"""The one connection: its transactions, and what becomes of it when the server goes away."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.servers import Postgres, address_of
from paybridge.core.errors import DatabaseUnavailable, LockTimeout, QueryFailed, StatementCancelled
from paybridge.database import connecting
from paybridge.database.connecting import (
    CONNECT_TIMEOUT_SECONDS,
    ROOM_SECONDS_MAX,
    SILENCE_MARGIN_SECONDS,
    DatabaseAddress,
)
from paybridge.database.database import Database, Statement
from paybridge.database.migrations import HEAD, migrate

pytestmark = pytest.mark.integration

# Shorter than the statement that is too long, and longer than another one takes on a busy machine.
IMPATIENT_SECONDS = 2.0
# How far a busy machine may overrun a limit.
SLOW_SECONDS = 15.0

_COUNT = Statement("SELECT count(*) FROM notes")
_ADD = Statement("INSERT INTO notes VALUES (:number::integer)")


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[Database]:
    url = postgres_server.fresh_database(migrated=False)
    database = Database(address_of(url))
    database.run(Statement("CREATE TABLE notes (number integer PRIMARY KEY)"))
    yield database
    database.close()
    postgres_server.drop_database(url)


def count(database: Database) -> int:
    found: int = database.run(_COUNT)[0][0]
    return found


class TestTransaction:
    def test_it_commits_at_the_end(self, database: Database) -> None:
        with database.transaction() as transaction:
            transaction.run(_ADD, number=1)
        assert count(database) == 1

    def test_it_rolls_back_when_the_block_raises(self, database: Database) -> None:
        with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
            transaction.run(_ADD, number=1)
            raise ZeroDivisionError
        assert count(database) == 0

    def test_opening_sqlalchemy_does_not_end_it(self, database: Database) -> None:
        from sqlalchemy import text

        with pytest.raises(ZeroDivisionError), database.transaction() as transaction:
            transaction.run(_ADD, number=1)
            transaction.open_sqlalchemy().execute(text("INSERT INTO notes VALUES (2)"))
            raise ZeroDivisionError
        assert count(database) == 0

    def test_a_failed_statement_says_so_and_the_connection_goes_on(self, database: Database) -> None:
        with pytest.raises(QueryFailed), database.transaction() as transaction:
            transaction.run(Statement("SELECT 1 / 0"))
        assert count(database) == 0

    def test_waiting_for_a_lock_ends(self, database: Database) -> None:
        other = Database(database._address)
        with database.transaction() as transaction:
            transaction.run(_ADD, number=1)
            with pytest.raises(LockTimeout):
                other.run(_ADD, number=1)
        other.close()


class TestSession:
    def test_it_has_its_limits(self, database: Database) -> None:
        names = ("TimeZone", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        assert [database.run(Statement(f"SHOW {name}"))[0][0] for name in names] == ["UTC", "2s", "15s", "1min"]


class TestOutage:
    def test_a_restarted_server_is_noticed_before_the_next_statement(
        self, database: Database, postgres_server: Postgres
    ) -> None:
        database.run(_ADD, number=1)
        postgres_server.stop()
        with pytest.raises(DatabaseUnavailable):
            database.run(_COUNT)
        postgres_server.start()
        assert count(database) == 1

    def test_a_killed_session_ends_its_transaction(self, database: Database) -> None:
        other = Database(database._address)
        me = database.run(Statement("SELECT pg_backend_pid()"))[0][0]
        with pytest.raises(DatabaseUnavailable), database.transaction() as transaction:
            transaction.run(_ADD, number=1)
            other.run(Statement("SELECT pg_terminate_backend(:pid::integer)"), pid=me)
            transaction.run(_ADD, number=2)
        assert count(database) == 0
        other.close()


class TestFullDatabase:
    """All connections that the database allows are in use."""

    @pytest.fixture
    def newcomer(self, database: Database) -> Iterator[Database]:
        database.run(Statement(f"ALTER DATABASE {database._address.name} CONNECTION LIMIT 1"))
        newcomer = Database(database._address)
        yield newcomer
        newcomer.close()

    def test_one_that_comes_free_is_taken(
        self, database: Database, newcomer: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The server may take a while to notice that a client has left.
        monkeypatch.setattr(connecting, "ROOM_SECONDS_MAX", 30.0)
        leaving = threading.Timer(ROOM_SECONDS_MAX / 2, database.close)
        leaving.start()
        assert newcomer.run(_COUNT) == [[0]]
        leaving.join()

    def test_after_a_moment_it_counts_as_away(self, newcomer: Database) -> None:
        started = time.monotonic()
        with pytest.raises(DatabaseUnavailable):
            newcomer.run(_COUNT)
        assert time.monotonic() - started >= ROOM_SECONDS_MAX


class TestSilence:
    """After a failover the connection stays open, and the server says nothing more."""

    def test_a_server_that_never_greets_is_away_after_seconds(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as mute:
            nowhere = DatabaseAddress("127.0.0.1", mute.getsockname()[1], "none", "none", "none")
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                Database(nowhere).run(_COUNT)
        assert time.monotonic() - started < CONNECT_TIMEOUT_SECONDS + SLOW_SECONDS

    def test_a_server_that_falls_silent_is_away_soon_after_the_longest_statement(self, database: Database) -> None:
        impatient = Database(database._address, statement_seconds_max=IMPATIENT_SECONDS)
        (pid,) = impatient.run(Statement("SELECT pg_backend_pid()"))[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(DatabaseUnavailable):
                impatient.run(_COUNT)
            assert time.monotonic() - started < IMPATIENT_SECONDS + SILENCE_MARGIN_SECONDS + SLOW_SECONDS
        finally:
            os.kill(pid, signal.SIGCONT)
        assert impatient.run(_COUNT) == [[0]]
        impatient.close()

    def test_a_statement_that_takes_too_long_is_ended(self, database: Database) -> None:
        impatient = Database(database._address, statement_seconds_max=IMPATIENT_SECONDS)
        with pytest.raises(StatementCancelled, match="statement timeout"):
            impatient.run(Statement("SELECT pg_sleep(20)"))
        assert impatient.run(_COUNT) == [[0]]
        impatient.close()


class TestSnapshot:
    def test_every_statement_sees_the_moment_of_the_first(self, database: Database) -> None:
        with closing(database.another()) as other, database.snapshot() as snapshot:
            assert snapshot.run(_COUNT) == [[0]]
            other.run(_ADD, number=1)
            assert snapshot.run(_COUNT) == [[0]]
        assert count(database) == 1

    def test_nothing_is_written_in_it(self, database: Database) -> None:
        with pytest.raises(DatabaseUnavailable, match="read-only"), database.snapshot() as snapshot:
            snapshot.run(_ADD, number=1)
        assert count(database) == 0


class TestMigrate:
    def test_it_can_be_run_again(self, postgres_server: Postgres) -> None:
        url = postgres_server.fresh_database(migrated=False)
        database = Database(address_of(url))
        migrate(database)
        migrate(database)
        assert database.run(Statement("SELECT version_num FROM alembic_version")) == [[HEAD]]
        database.close()
        postgres_server.drop_database(url)
