"""Opening a connection to PostgreSQL: login, waiting for room, what every session of ours is set to."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pg8000 import dbapi
from pg8000.exceptions import DatabaseError, InterfaceError

from paybridge.core.errors import DatabaseLoginRefused, DatabaseUnavailable, Unavailable

TIMESTAMPTZ_OID = 1184
CONNECT_TIMEOUT_SECONDS = 4.0
# How long a database that has all its connections in use is asked for one. An environment that gave up at once would be
# the first to be free again, and would turn away the very callers whom those with a connection could serve.
ROOM_SECONDS_MAX = 1.0
ROOM_PAUSE_SECONDS = 0.1
# How much longer than a statement may take the server may be silent: after a failover nobody closes the connection,
# and only this tells a caller before its own time is up.
SILENCE_MARGIN_SECONDS = 2.0
# lock_timeout bounds how long a request waits for another one with the same idempotency key; the caller is then told
# that the first is still in flight. The idle limit frees the rows of a relay whose process stopped without dying.
# The others keep plans independent of how many rows there are when they are made, which is none at first: every
# statement finds the few rows it is about by an index, one nested loop after the other. With hashes, or with costs of
# pages and comparisons, the planner reads all rows of a small table to find a hundred of them, and goes on doing so
# when the table is no longer small (tests/database/test_plans.py).
# They are set by SET, because RDS Proxy refuses them as options of the connection.
_SESSION_SETTINGS = """
    SET client_encoding = 'UTF8'; SET timezone = 'UTC'; SET lock_timeout = '2s';
    SET idle_in_transaction_session_timeout = '60s'; SET statement_timeout = '{milliseconds}ms';
    SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET jit = off; SET seq_page_cost = 0; SET random_page_cost = 0;
    SET cpu_operator_cost = 0.0001
"""
_TOO_MANY_CONNECTIONS = "53300"
# A wrong password, and everything else that makes the server refuse a login: the role is gone or may not log in.
_REFUSED_SQLSTATES: Final = frozenset({"28P01", "28000"})


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the database is and how to log in; `tls` is None only on loopback."""

    host: str
    port: int
    name: str
    user: str
    password: str
    tls: ssl.SSLContext | None = None


# Asked when the server refuses a login: the addresses to try then, one after the other. A password that rotates makes
# the one at hand wrong, and where the right one is kept is not the store's business.
RenewedAddresses = Callable[[], Iterable[DatabaseAddress]]


def none_renewed() -> Iterable[DatabaseAddress]:
    """There is no other login."""
    return ()


class Connection(dbapi.Connection):  # type: ignore[misc]
    """A connection whose transactions only `Database` ends.

    SQLAlchemy rolls back whenever it initialises or returns a connection; inside a transaction of ours that would
    silently turn the rest of it into single commits.
    """

    def commit(self) -> None:
        """Does nothing: see the class."""

    def rollback(self) -> None:
        """Does nothing: see the class."""


def connect(
    address: DatabaseAddress,
    application_name: str,
    statement_seconds_max: float,
    renewed_addresses: RenewedAddresses = none_renewed,
) -> tuple[Connection, DatabaseAddress]:
    """An open connection that is set up, and the address whose login the server took. Raises DatabaseUnavailable."""
    try:
        connection, address = _log_in_by_any(address, application_name, renewed_addresses)
        _set_up(connection, statement_seconds_max)
    except (DatabaseError, InterfaceError, OSError, Unavailable) as error:
        place = f"{address.host}:{address.port}"
        if is_refused(error):
            raise DatabaseLoginRefused(f"The database at {place} refuses the login of {address.user}.") from error
        raise DatabaseUnavailable(f"Cannot connect to the database at {place}.") from error
    return connection, address


def server_fields(error: BaseException) -> dict[str, str]:
    """What the server said of an error, by the letters of its protocol; empty when it said nothing."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else {}


def is_refused(error: BaseException) -> bool:
    """Whether the server refused a login with this error."""
    return server_fields(error).get("C") in _REFUSED_SQLSTATES


def _log_in_by_any(
    address: DatabaseAddress, application_name: str, renewed_addresses: RenewedAddresses
) -> tuple[Connection, DatabaseAddress]:
    refusal: DatabaseError | None = None
    # The renewed ones are asked for only when the loop comes to them.
    for group in (lambda: (address,), renewed_addresses):
        for one in group():
            try:
                return _log_in_once_there_is_room(one, application_name), one
            except DatabaseError as error:
                if not is_refused(error):
                    raise
                refusal = error
    assert refusal is not None
    raise refusal


def _log_in_once_there_is_room(address: DatabaseAddress, application_name: str) -> Connection:
    give_up_at = time.monotonic() + ROOM_SECONDS_MAX
    while True:
        try:
            return _log_in(address, application_name)
        except DatabaseError as error:
            if server_fields(error).get("C") != _TOO_MANY_CONNECTIONS or time.monotonic() >= give_up_at:
                raise
        time.sleep(ROOM_PAUSE_SECONDS)


def _log_in(address: DatabaseAddress, application_name: str) -> Connection:
    return Connection(
        address.user,
        host=address.host,
        port=address.port,
        database=address.name,
        password=address.password,
        # To pg8000 None and True mean "encrypt, verify nothing": only False or a context say what they do.
        ssl_context=address.tls if address.tls is not None else False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=application_name,
    )


def _set_up(connection: Connection, statement_seconds_max: float) -> None:
    # A statement for a whole batch leaves in several pieces. Nagle's algorithm would hold the last one back until the
    # server acknowledges those before it, which the server puts off for 40 ms.
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection._usock.settimeout(statement_seconds_max + SILENCE_MARGIN_SECONDS)
    connection.autocommit = True
    connection.register_in_adapter(TIMESTAMPTZ_OID, datetime.fromisoformat)
    connection.execute_simple(_SESSION_SETTINGS.format(milliseconds=round(statement_seconds_max * 1000)))
