"""The state of circuit breakers, shared by all environments."""

from __future__ import annotations

from paybridge.database.database import Statement, Transaction
from paybridge.payments.domain.circuit import Circuit

_READ = Statement("SELECT consecutive_failures, open_until FROM circuits WHERE name = :name::text")

_LOCK = Statement("""
    INSERT INTO circuits (name) VALUES (:name::text) ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING consecutive_failures, open_until
""")

_SAVE = Statement("""
    UPDATE circuits SET consecutive_failures = :failures::integer, open_until = :open_until::timestamptz
    WHERE name = :name::text
""")


def read(transaction: Transaction, name: str) -> Circuit:
    """Return the circuit of that name; closed if it has never been written."""
    rows = transaction.run(_READ, name=name)
    return Circuit(*rows[0]) if rows else Circuit()


def lock(transaction: Transaction, name: str) -> Circuit:
    """Return the circuit of that name, locked until the transaction ends."""
    return Circuit(*transaction.run(_LOCK, name=name)[0])


def save(transaction: Transaction, name: str, circuit: Circuit) -> None:
    """Write a locked circuit."""
    transaction.run(_SAVE, name=name, failures=circuit.consecutive_failures, open_until=circuit.open_until)
