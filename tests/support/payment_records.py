"""Everything on record about one payment, to tell whether anything changed."""

from __future__ import annotations

import json
import uuid
from typing import Any

from local.testkit.payments import rows
from paybridge.database.database import Database

_TABLES = ("operations", "outbox", "charges_to_return", "late_checks", "fraud_decisions")
_QUERIES = (
    *(f"SELECT to_json(t) FROM {table} t WHERE payment_id = :id::uuid" for table in _TABLES),  # noqa: S608
    "SELECT to_json(t) FROM payments t WHERE id = :id::uuid",
    "SELECT to_json(t) FROM operation_attempts t JOIN operations o ON o.id = operation_id WHERE payment_id = :id::uuid",
    "SELECT to_json(k) FROM idempotency_keys k JOIN payments p ON p.merchant_id = k.merchant_id WHERE p.id = :id::uuid",
    "SELECT to_json(n) FROM gateway_notices n"
    " WHERE operation_id IN (SELECT id FROM operations WHERE payment_id = :id::uuid)",
    "SELECT to_json(c) FROM circuits c JOIN payments p ON c.name LIKE '%' || p.merchant_id || '%'"
    " WHERE p.id = :id::uuid",
)


def everything_about(database: Database, payment_id: uuid.UUID) -> list[str]:
    """Return all rows about the payment as sorted texts."""
    found: list[dict[str, Any]] = [row for sql in _QUERIES for row in rows(database, sql, id=payment_id)]
    return sorted(json.dumps(row, sort_keys=True) for row in found)
