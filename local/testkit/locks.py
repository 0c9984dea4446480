"""Locks that another session holds, as an operator's open transaction does, and sessions that wait long for theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from paybridge.core.errors import LockTimeout
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement, Transaction

PATIENCE_SECONDS = 60.0
_WAIT_LONG = Statement(f"SET lock_timeout = '{PATIENCE_SECONDS:.0f}s'")


def patient_database(address: DatabaseAddress) -> Database:
    """Return an open connection that waits for a lock for PATIENCE_SECONDS.

    Sessions that queue for one row all wait as long as the machine holds up the first. None of them gives up.
    """
    database = Database(address, "tests", statement_seconds_max=PATIENCE_SECONDS)
    database.run(_WAIT_LONG)
    return database


class WaitingDatabase(Database):
    """A connection that notes each transaction which gave way to another, by a lock timeout or a deadlock.

    `waits` has the lock timeout of each in seconds, None for the session's own.
    """

    def __init__(self, address: DatabaseAddress) -> None:
        super().__init__(address)
        self.waits: list[float | None] = []

    @contextmanager
    def transaction(self, lock_seconds_max: float | None = None) -> Iterator[Transaction]:
        """Begin a transaction; see `Database.transaction`."""
        try:
            with super().transaction(lock_seconds_max) as transaction:
                yield transaction
        except LockTimeout:
            self.waits.append(lock_seconds_max)
            raise


@contextmanager
def held(address: DatabaseAddress, *statements: str, **parameters: Any) -> Iterator[None]:
    """Keep a transaction with these statements open in another session; it is rolled back at the end of the block.

    Each statement takes those of the parameters that it names.
    """
    with closing(Database(address)) as other, suppress(_RollBack), other.transaction() as transaction:
        for statement in statements:
            transaction.run(Statement(statement), **parameters)
        yield
        raise _RollBack


class _RollBack(Exception):
    """Ends the transaction without its changes."""
