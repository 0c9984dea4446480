"""The one connection to PostgreSQL, and the only place where a transaction begins and ends.

Every query is a `Statement`, prepared once per connection, which then costs one round trip (see wire.py). Its SQL is
written by hand, or by SQLAlchemy Core where a query is put together at run time (see clauses.py). SQLAlchemy is
imported only there, because its import would be the larger part of a cold start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError, InterfaceError

from paybridge.core.errors import DatabaseUnavailable, PaybridgeError
from paybridge.database import wire
from paybridge.database.connecting import Connection, DatabaseAddress, FreshAddresses, connect, no_fresh_addresses
from paybridge.database.errors import translated
from paybridge.database.services import Service
from paybridge.database.sessions import Session
from paybridge.database.statement import Statement
from paybridge.database.wire import Prepared, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

__all__ = ["BATCH_LOCK_SECONDS_MAX", "Database", "Session", "Statement", "Transaction"]

STATEMENT_SECONDS_MAX = 15.0
# How long the transaction of a batch waits for a lock. Batches hold their locks for milliseconds. A lock that lasts is
# an operator's, and only the items whose rows it holds shall wait for it.
BATCH_LOCK_SECONDS_MAX = 0.3


class Transaction:
    """An open transaction: what `Database.transaction` yields."""

    __slots__ = ("_database", "after_commit")

    def __init__(self, database: Database) -> None:
        self._database = database
        # Statements to run once each after the commit, each as a transaction; see `Database.attempt`.
        self.after_commit: set[Statement] = set()

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Run a prepared statement and return its rows."""
        return self._database._run_prepared(statement, parameters)

    def open_sqlalchemy(self) -> SqlConnection:
        """Return SQLAlchemy's view of this transaction's connection, for Alembic."""
        return self._database._open_sqlalchemy()


class Database:
    """One connection, opened on first use; not for two threads at the same time.

    The server cancels a statement that takes longer than `statement_seconds_max`. A server that stays silent longer
    counts as away. `fresh_addresses` are tried when the server refuses the login of `address`. Statements run with the
    rights of `service`, if its role exists, else with all of the login.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        application_name: str = "paybridge",
        statement_seconds_max: float = STATEMENT_SECONDS_MAX,
        fresh_addresses: FreshAddresses = no_fresh_addresses,
        service: Service | None = None,
    ) -> None:
        self._address = address
        self._fresh_addresses = fresh_addresses
        self._service = service
        self._application_name = application_name
        self._statement_seconds_max = statement_seconds_max
        self._connection: Connection | None = None
        self._prepared: dict[Statement, Prepared] = {}

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Run one prepared statement as one transaction: one round trip, committed when this returns.

        Raises DatabaseUnavailable, LockTimeout, ConstraintViolated or QueryFailed.
        """
        self._ensure_connected()
        return self._run_prepared(statement, parameters)

    def attempt(self, statement: Statement) -> None:
        """Run a statement whose failure is harmless, such as a hint to another process."""
        with suppress(PaybridgeError):
            self.run(statement)

    @contextmanager
    def transaction(self, lock_seconds_max: float | None = None) -> Iterator[Transaction]:
        """Begin a transaction; commit at the end of the block, roll back if the block raises.

        It waits for a lock for at most `lock_seconds_max`, by default as long as its session does. Raises
        DatabaseUnavailable, LockTimeout, ConstraintViolated or QueryFailed. If the connection is lost during COMMIT,
        the outcome is unknown: callers are written so that running them again is safe.
        """
        with self._begun(_begin(lock_seconds_max)) as transaction:
            yield transaction
        for statement in transaction.after_commit:
            self.attempt(statement)

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Begin a transaction that only reads, and whose statements all see the database as it is at the first one.

        What others delete stays on disk until the end. Raises DatabaseUnavailable or QueryFailed.
        """
        with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as transaction:
            yield transaction

    @contextmanager
    def _begun(self, begin: str) -> Iterator[Transaction]:
        self._ensure_connected()
        self._simple(begin)
        transaction = Transaction(self)
        try:
            yield transaction
        except BaseException:
            self._roll_back()
            raise
        self._simple("COMMIT")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Keep one connection for the whole block: a lost one is not replaced.

        A block that raises closes the connection, and with it all that the session kept. Raises DatabaseUnavailable.
        """
        self._ensure_connected()
        assert self._connection is not None
        self._connection.notifications.clear()
        try:
            yield Session(self._connection, self._run_prepared, self._simple)
        except BaseException:
            self.close()
            raise

    def another(self) -> Database:
        """Return a second connection to the same database, opened on first use; the caller closes it."""
        return Database(
            self._address, self._application_name, self._statement_seconds_max, self._fresh_addresses, self._service
        )

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        connection, self._connection = self._connection, None
        self._prepared.clear()
        if connection is not None:
            try:
                connection.close()
            except (DatabaseError, InterfaceError, OSError):
                return  # It was dead already.

    def _ensure_connected(self) -> None:
        # The server sends nothing on an idle connection. If the socket is readable, the server has closed it while this
        # environment was frozen. Looking costs no round trip.
        if self._connection is not None and wire.is_readable(self._connection):
            self.close()
        if self._connection is None:
            # The login that worked is the first to try from now on.
            self._connection, self._address = connect(
                self._address,
                self._application_name,
                self._statement_seconds_max,
                self._fresh_addresses,
                self._service,
            )

    def _run_prepared(self, statement: Statement, parameters: dict[str, Any]) -> list[Row]:
        connection = self._connection
        if connection is None:
            raise DatabaseUnavailable("The connection was lost inside a transaction.")
        values = statement.values(parameters)
        try:
            prepared = self._prepared.get(statement)
            if prepared is None:
                prepared = self._prepared[statement] = Prepared(connection, statement.sql)
            return prepared.run(values)
        except (DatabaseError, InterfaceError, OSError) as error:
            raise self._translated(error) from error

    def _simple(self, command: str) -> None:
        if self._connection is None:
            raise DatabaseUnavailable("The connection was lost inside a transaction.")
        try:
            self._connection.execute_simple(command)
        except (DatabaseError, InterfaceError, OSError) as error:
            raise self._translated(error) from error

    def _roll_back(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute_simple("ROLLBACK")
        except (DatabaseError, InterfaceError, OSError):
            # The server rolls back when the connection ends.
            self.close()

    def _open_sqlalchemy(self) -> SqlConnection:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        # AUTOCOMMIT keeps SQLAlchemy from beginning transactions: `transaction` above is the only one.
        engine = create_engine(
            "postgresql+pg8000://",
            creator=lambda: self._connection,
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
        )
        return engine.connect()

    def _translated(self, error: BaseException) -> PaybridgeError:
        ours = translated(error)
        if isinstance(ours, DatabaseUnavailable):
            self.close()
        return ours


def _begin(lock_seconds_max: float | None) -> str:
    # One message, so the limit costs no round trip.
    return "BEGIN" if lock_seconds_max is None else f"BEGIN; SET LOCAL lock_timeout = {round(lock_seconds_max * 1000)}"
