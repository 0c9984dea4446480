"""The circuits of the gateway and of the sources of calls, and the paces of merchants, shared by all environments.

A closed circuit without a pace may have no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import json_rows
from paybridge.database.wire import Row
from paybridge.payments.domain.circuit import Circuit
from paybridge.payments.domain.pace import Pace

_COLUMNS = "name, consecutive_failures, open_until, calls_per_second, next_call_at, pace_ends_at"

_READ = Statement(f"""
    SELECT {_COLUMNS} FROM circuits WHERE name = ANY (ARRAY (SELECT json_array_elements_text(:names::json)))
""")

# Rows are locked in the order of their names, so that two batches never deadlock.
_LOCK = Statement(f"""
    INSERT INTO circuits (name) SELECT value FROM json_array_elements_text(:names::json) ORDER BY value
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING {_COLUMNS}
""")

_SAVE = Statement("""
    UPDATE circuits c
    SET consecutive_failures = changed.failures, open_until = changed.open_until, updated_at = :now::timestamptz
    FROM json_to_recordset(:rows::json) AS changed (name text, failures integer, open_until timestamptz)
    WHERE c.name = changed.name
""")

# Another batch may have taken later calls meanwhile.
_SAVE_PACES = Statement("""
    UPDATE circuits c
    SET calls_per_second = changed.calls_per_second, pace_ends_at = changed.ends_at,
        next_call_at = greatest(c.next_call_at, changed.next_call_at), updated_at = :now::timestamptz
    FROM json_to_recordset(:rows::json) AS changed (name text, calls_per_second double precision,
        next_call_at timestamptz, ends_at timestamptz)
    WHERE c.name = changed.name
""")

_FORGET = Statement("DELETE FROM circuits WHERE updated_at < :before::timestamptz")


class Source(NamedTuple):
    """The circuit of the gateway or of a source of calls, and the pace of a merchant's calls; None means no limit."""

    circuit: Circuit
    pace: Pace | None


def read(transaction: Transaction | Database, names: Iterable[str]) -> dict[str, Source]:
    """Return the sources of these names that have been written."""
    return {row[0]: _source(row) for row in transaction.run(_READ, names=json_rows(names))}


def lock(transaction: Transaction, names: Iterable[str]) -> dict[str, Source]:
    """Return the sources of these names, locked until the transaction ends."""
    return {row[0]: _source(row) for row in transaction.run(_LOCK, names=json_rows(names))}


def _source(row: Row) -> Source:
    _, failures, open_until, calls_per_second, next_call_at, ends_at = row
    pace = None if calls_per_second is None else Pace(calls_per_second, next_call_at, ends_at)
    return Source(Circuit(failures, open_until), pace)


def save(transaction: Transaction, changed: Mapping[str, Circuit], now: datetime) -> None:
    """Write circuits that exist."""
    rows = [
        {"name": name, "failures": circuit.consecutive_failures, "open_until": circuit.open_until}
        for name, circuit in changed.items()
    ]
    transaction.run(_SAVE, rows=json_rows(rows), now=now)


def save_paces(transaction: Transaction, changed: Mapping[str, Pace], now: datetime) -> None:
    """Write the paces of sources that exist."""
    rows = [
        {
            "name": name,
            "calls_per_second": pace.calls_per_second,
            "next_call_at": pace.next_call_at,
            "ends_at": pace.ends_at,
        }
        for name, pace in changed.items()
    ]
    transaction.run(_SAVE_PACES, rows=json_rows(rows), now=now)


def forget(database: Database, before: datetime) -> None:
    """Delete the circuits that have not changed since `before`."""
    database.run(_FORGET, before=before)
