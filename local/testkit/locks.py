"""Locks that another session holds, as an operator's open transaction does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement


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
