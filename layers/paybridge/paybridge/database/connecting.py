"""Open a connection to PostgreSQL: log in, wait for a free connection, set up the session."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from pg8000 import dbapi
from pg8000.exceptions import DatabaseError, InterfaceError

from paybridge.core.causes import causes_of, root_of
from paybridge.core.errors import DatabaseLoginRefused, DatabaseUnavailable, Unavailable
from paybridge.database import wire
from paybridge.database.errors import is_refused_login, server_fields
from paybridge.database.services import Service, assume_role
from paybridge.database.session_settings import set_commands
from paybridge.observability.logging import logger

TIMESTAMPTZ_OID = 1184
CONNECT_TIMEOUT_SECONDS = 4.0
# How long to retry while the database has all its connections in use. An environment that gave up at once would be free
# first, and would turn away callers that the environments with a connection could serve.
ROOM_SECONDS_MAX = 1.0
ROOM_PAUSE_SECONDS = 0.1
# How much longer than a statement may take the server may be silent. After a failover the connection stays open and
# silent, and only this ends the wait before the caller's time is up.
SILENCE_MARGIN_SECONDS = 2.0
_TOO_MANY_CONNECTIONS = "53300"

log = logger()


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where the database is and how to log in; `tls` is None only on loopback."""

    host: str
    port: int
    name: str
    user: str
    password: str
    tls: ssl.SSLContext | None = None


# Called when the server refuses a login: the addresses to try next, in their order. A rotation makes the password at
# hand wrong; where the new one is kept is for the caller to know.
FreshAddresses = Callable[[], Iterable[DatabaseAddress]]


def no_fresh_addresses() -> Iterable[DatabaseAddress]:
    """Return no addresses: there is no other login."""
    return ()


class Connection(dbapi.Connection):  # type: ignore[misc]
    """A connection whose transactions only `Database` ends.

    SQLAlchemy rolls back when it initialises or returns a connection. Inside a transaction of ours that would silently
    turn the rest of it into single commits.
    """

    def commit(self) -> None:
        """Do nothing: see the class."""

    def rollback(self) -> None:
        """Do nothing: see the class."""


def connect(
    address: DatabaseAddress,
    application_name: str,
    statement_seconds_max: float,
    fresh_addresses: FreshAddresses = no_fresh_addresses,
    service: Service | None = None,
) -> tuple[Connection, DatabaseAddress]:
    """Return an open connection, set up, and the address that the server accepted. Raises DatabaseUnavailable."""
    try:
        connection, address = _log_in_by_any(address, application_name, fresh_addresses)
        _set_up(connection, statement_seconds_max, service)
    except (DatabaseError, InterfaceError, OSError, Unavailable) as error:
        place = f"{address.host}:{address.port}"
        if is_refused_login(error):
            raise DatabaseLoginRefused(f"The database at {place} refuses the login of {address.user}.") from error
        raise DatabaseUnavailable(f"Cannot connect to the database at {place}: {_reason(error)}.") from error
    return connection, address


def _reason(error: Exception) -> str:
    """Return what the server says, or why it was not reached."""
    fields = server_fields(error)
    return f"{fields.get('M', '')} ({fields.get('C', '')})" if fields else causes_of(root_of(error))


def _log_in_by_any(
    address: DatabaseAddress, application_name: str, fresh_addresses: FreshAddresses
) -> tuple[Connection, DatabaseAddress]:
    refusal: DatabaseError | None = None
    # Fresh addresses are fetched only once the first is refused.
    for group in (lambda: (address,), fresh_addresses):
        for candidate in group():
            try:
                return _log_in_once_there_is_room(candidate, application_name), candidate
            except DatabaseError as error:
                if not is_refused_login(error):
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
        # To pg8000 None and True mean "encrypt, verify nothing". Only False and a context mean what they say.
        ssl_context=address.tls if address.tls is not None else False,
        timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=application_name,
    )


def _set_up(connection: Connection, statement_seconds_max: float, service: Service | None) -> None:
    wire.set_up_socket(connection, statement_seconds_max + SILENCE_MARGIN_SECONDS)
    connection.autocommit = True
    connection.register_in_adapter(TIMESTAMPTZ_OID, datetime.fromisoformat)
    commands = set_commands(statement_seconds_max)
    if service is None:
        connection.execute_simple(commands)
    # The rows are those of the last command.
    elif not connection.execute_simple(f"{commands}; {assume_role(service)}").rows:
        log.warning("the service keeps every right in the database", extra={"service_name": service.name})
