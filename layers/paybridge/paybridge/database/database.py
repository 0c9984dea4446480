"""The one connection to PostgreSQL, and the only place where a transaction begins and ends.

Every query is a `Statement`, prepared once per connection, which then costs one round trip (see wire.py). Its SQL is
written by hand, or by SQLAlchemy Core where a query is put together at run time (see clauses.py). SQLAlchemy is
imported only there, because its import would be the larger part of a cold start.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.native import to_statement

from paybridge.core.errors import ConstraintViolated, DatabaseUnavailable, LockTimeout, PaybridgeError, QueryFailed
from paybridge.database.connecting import (
    Connection,
    DatabaseAddress,
    RenewedAddresses,
    connect,
    none_renewed,
    server_fields,
)
from paybridge.database.wire import Prepared, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection

STATEMENT_SECONDS_MAX = 15.0
# Faults of the whole database or of this connection, which no message is to blame for: lost connections, a server that
# is shutting down, read-only after a failover, out of space or broken, statement_timeout and the idle limit, and
# prepared statements that the server no longer knows or can no longer use. A new connection may cure each.
_UNAVAILABLE_SQLSTATES = ("08", "57P", "57014", "25P03", "25006", "26000", "0A000", "53", "58", "XX")
# lock_timeout and a deadlock.
LOCK_SQLSTATES = ("55P03", "40P01")


class Statement:
    """One SQL statement with `:named` parameters, converted once and prepared once per connection.

    Cast every parameter in the SQL (`:id::uuid`), so that the server need not guess its type.
    """

    __slots__ = ("_names", "sql")

    def __init__(self, sql: str) -> None:
        self.sql, values_of = to_statement(sql)
        # pg8000 looks every placeholder's value up under its name: given names for values, it tells their order.
        self._names: Final[tuple[str, ...]] = values_of(_Names())

    def values(self, parameters: dict[str, Any]) -> list[Any]:
        """The parameters in the order of their placeholders; raises `KeyError` for a missing one."""
        return [parameters[name] for name in self._names]


class _Names(dict[str, str]):
    """Has for every name the name itself."""

    def __missing__(self, name: str) -> str:
        return name


class Transaction:
    """An open transaction: what `Database.transaction` yields."""

    __slots__ = ("_database", "after_commit")

    def __init__(self, database: Database) -> None:
        self._database = database
        # Statements to be run once each, on their own, when the transaction is committed; see `Database.attempt`.
        self.after_commit: set[Statement] = set()

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Runs a prepared statement and returns its rows."""
        return self._database._run_prepared(statement, parameters)

    def connection(self) -> SqlConnection:
        """SQLAlchemy's view of this transaction's connection, for tools that want one (migrations)."""
        return self._database._sqlalchemy_connection()


class Session:
    """The connection as it is, for what a session keeps, such as locks: what `Database.session` yields."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Runs a prepared statement as a transaction of its own; never on a new connection."""
        return self._database._run_prepared(statement, parameters)

    def listen(self, channel: str) -> None:
        """From now on a NOTIFY on the channel is heard."""
        self._database._simple(f"LISTEN {channel}")

    def unlisten(self) -> None:
        """From now on the server says nothing unasked, so that the connection does not look like a dead one."""
        self._database._simple("UNLISTEN *")

    async def heard(self, seconds_max: float) -> bool:
        """Waits, without holding up the event loop, until the server says something unasked: whether it did in time.

        That is a notification, or the end of the connection; the next statement reads which.
        """
        return await self._database._heard(seconds_max)


class Database:
    """One lazily opened connection; not for use by two threads at the same time.

    A statement that takes longer than `statement_seconds_max` is ended by the server, and a server that stays silent
    beyond that counts as away. `renewed_addresses` are tried when the server refuses the login of `address`.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        application_name: str = "paybridge",
        statement_seconds_max: float = STATEMENT_SECONDS_MAX,
        renewed_addresses: RenewedAddresses = none_renewed,
    ) -> None:
        self._address = address
        self._renewed_addresses = renewed_addresses
        self._application_name = application_name
        self._statement_seconds_max = statement_seconds_max
        self._connection: Connection | None = None
        self._prepared: dict[Statement, Prepared] = {}
        self._sqlalchemy: SqlConnection | None = None

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Runs one prepared statement as a transaction of its own: one round trip, committed when this returns.

        Raises DatabaseUnavailable, LockTimeout or ConstraintViolated.
        """
        self._ensure_connected()
        return self._run_prepared(statement, parameters)

    def attempt(self, statement: Statement) -> None:
        """Runs a statement whose failure harms nobody, such as a hint to another process."""
        with suppress(PaybridgeError):
            self.run(statement)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begins a transaction; commits at the end of the block, rolls back when the block raises.

        Raises DatabaseUnavailable, LockTimeout or ConstraintViolated. When COMMIT itself meets a lost connection
        nobody knows whether it took place: callers are written so that running them again is safe.
        """
        self._ensure_connected()
        self._simple("BEGIN")
        transaction = Transaction(self)
        try:
            yield transaction
        except BaseException:
            self._roll_back()
            raise
        self._simple("COMMIT")
        for statement in transaction.after_commit:
            self.attempt(statement)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """One and the same connection for all of the block: it is not replaced by a new one when it is lost.

        A block that raises ends the connection, and with it all that the session kept. Raises DatabaseUnavailable.
        """
        self._ensure_connected()
        assert self._connection is not None
        self._connection.notifications.clear()
        try:
            yield Session(self)
        except BaseException:
            self.close()
            raise

    def another(self) -> Database:
        """A second connection to the same database, opened on first use; the caller closes it."""
        return Database(self._address, self._application_name, self._statement_seconds_max, self._renewed_addresses)

    def close(self) -> None:
        """Closes the connection; the next use opens a new one."""
        connection, self._connection = self._connection, None
        self._prepared.clear()
        self._sqlalchemy = None
        if connection is not None:
            try:
                connection.close()
            except (DatabaseError, InterfaceError, OSError):
                return  # It was dead already, which is what closing is for.

    def _ensure_connected(self) -> None:
        if self._connection is not None and self._is_stale():
            self.close()
        if self._connection is None:
            # A login that was taken in the place of the first one is the one to begin with from now on.
            self._connection, self._address = connect(
                self._address, self._application_name, self._statement_seconds_max, self._renewed_addresses
            )

    def _is_stale(self) -> bool:
        # An idle PostgreSQL connection has nothing to say. If its socket is readable, the server has closed it while
        # this environment was frozen; noticing costs no round trip.
        assert self._connection is not None
        readable, _, _ = select.select([self._connection._usock], [], [], 0)
        return bool(readable)

    async def _heard(self, seconds_max: float) -> bool:
        connection = self._connection
        if connection is None or connection.notifications or self._is_unread(connection):
            return True
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        # The socket is asked for now: closing the connection forgets it.
        usock = connection._usock
        loop.add_reader(usock, heard.set)
        try:
            async with asyncio.timeout(seconds_max):
                return await heard.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(usock)

    def _is_unread(self, connection: Connection) -> bool:
        # What came right behind the answer to the last statement may be in a buffer already, of pg8000 or of TLS, and
        # then the socket stays silent. A socket that does not block lets us look without waiting.
        usock = connection._usock
        patience_seconds = usock.gettimeout()
        usock.setblocking(False)
        try:
            return bool(connection._sock.peek(1))
        except ssl.SSLWantReadError:
            return False
        except OSError:
            return True
        finally:
            usock.settimeout(patience_seconds)

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
            # The server rolls back by itself when the connection ends.
            self.close()

    def _sqlalchemy_connection(self) -> SqlConnection:
        if self._sqlalchemy is None:
            self._sqlalchemy = self._open_sqlalchemy()
        return self._sqlalchemy

    def _open_sqlalchemy(self) -> SqlConnection:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        # AUTOCOMMIT keeps SQLAlchemy from beginning transactions of its own: `transaction` above is the only one.
        engine = create_engine(
            "postgresql+pg8000://",
            creator=lambda: self._connection,
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
        )
        return engine.connect()

    def _translated(self, error: BaseException) -> Exception:
        fields = server_fields(error)
        sqlstate = fields.get("C", "")
        message = fields.get("M", str(error))
        if not sqlstate or sqlstate.startswith(_UNAVAILABLE_SQLSTATES):
            self.close()
            return DatabaseUnavailable(f"The database is away: {message}")
        if sqlstate in LOCK_SQLSTATES:
            return LockTimeout(message)
        if sqlstate.startswith("23"):
            return ConstraintViolated(str(fields.get("n", "")), message)
        return QueryFailed(sqlstate, message)
