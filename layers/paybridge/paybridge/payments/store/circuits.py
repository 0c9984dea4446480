"""The circuits of the gateway and of the sources of calls, shared by all environments. A closed one may have no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.payments.domain.circuit import Circuit

_READ = Statement("""
    SELECT name, consecutive_failures, open_until FROM circuits
    WHERE name = ANY (ARRAY (SELECT json_array_elements_text(:names::json)))
""")

# Rows are locked in the order of their names, so that two batches never deadlock.
_LOCK = Statement("""
    INSERT INTO circuits (name) SELECT value FROM json_array_elements_text(:names::json) ORDER BY value
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING name, consecutive_failures, open_until
""")

_SAVE = Statement("""
    UPDATE circuits c
    SET consecutive_failures = changed.failures, open_until = changed.open_until, updated_at = :now::timestamptz
    FROM json_to_recordset(:rows::json) AS changed (name text, failures integer, open_until timestamptz)
    WHERE c.name = changed.name
""")

_FORGET = Statement("DELETE FROM circuits WHERE updated_at < :before::timestamptz")


def read(transaction: Transaction | Database, names: Iterable[str]) -> dict[str, Circuit]:
    """Return the circuits of these names that have been written."""
    return {row[0]: Circuit(row[1], row[2]) for row in transaction.run(_READ, names=json_rows(names))}


def lock(transaction: Transaction, names: Iterable[str]) -> dict[str, Circuit]:
    """Return the circuits of these names, locked until the transaction ends."""
    return {row[0]: Circuit(row[1], row[2]) for row in transaction.run(_LOCK, names=json_rows(names))}


def save(transaction: Transaction, changed: Mapping[str, Circuit], now: datetime) -> None:
    """Write circuits that exist."""
    rows = [
        {"name": name, "failures": circuit.consecutive_failures, "open_until": circuit.open_until}
        for name, circuit in changed.items()
    ]
    transaction.run(_SAVE, rows=json_rows(rows), now=now)


def forget(database: Database, before: datetime) -> None:
    """Delete the circuits that have not changed since `before`."""
    database.run(_FORGET, before=before)
