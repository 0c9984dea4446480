"""One connection for what a session keeps, such as locks and LISTEN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from paybridge.database import wire
from paybridge.database.connecting import Connection
from paybridge.database.statement import Statement
from paybridge.database.wire import Row


class RunStatement(Protocol):
    """Runs a prepared statement on an open connection and returns its rows."""

    def __call__(self, statement: Statement, parameters: dict[str, Any]) -> list[Row]:
        """Raise DatabaseUnavailable when the connection is lost."""
        ...


class Session:
    """One connection that is not replaced when it is lost: what `Database.session` yields."""

    __slots__ = ("_connection", "_run", "_send")

    def __init__(self, connection: Connection, run: RunStatement, send: Callable[[str], None]) -> None:
        self._connection = connection
        self._run = run
        self._send = send

    def run(self, statement: Statement, **parameters: Any) -> list[Row]:
        """Run a prepared statement as a transaction; never on a new connection."""
        return self._run(statement, parameters)

    def listen(self, channel: str) -> None:
        """Hear every NOTIFY on the channel from now on."""
        self._send(f"LISTEN {channel}")

    def unlisten(self) -> None:
        """Hear nothing from now on. A server that speaks unasked would look like a closed connection."""
        self._send("UNLISTEN *")

    async def heard(self, seconds_max: float) -> bool:
        """Wait until the server says something unasked, and return whether it did within `seconds_max`.

        That is a notification, or the end of the connection. The next statement tells which.
        """
        return await wire.heard(self._connection, seconds_max)
