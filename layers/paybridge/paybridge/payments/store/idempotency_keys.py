"""Idempotency keys: what a key was used for, and the answer that a repeated request gets.

The statement that does the work also takes the key, so a key is taken if and only if the work is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database, Statement
from paybridge.database.parameters import json_rows

# A statement that takes a key inserts these columns.
KEY_COLUMNS = "merchant_id, operation, key, fingerprint, resource_id, response_status, response_body, created_at"
KEY_VALUES = """
    :merchant_id::uuid, :operation::text, :key::text, :fingerprint::bytea, :resource_id::uuid,
    :response_status::smallint, :response_body::text, :created_at::timestamptz
"""
PRIMARY_KEY = "idempotency_keys_pkey"

_TABLE = "idempotency_keys"

_FIND = Statement("""
    SELECT fingerprint, resource_id, response_status, response_body
    FROM idempotency_keys
    WHERE merchant_id = :merchant_id::uuid AND operation = :operation::text AND key = :key::text
""")

_FIND_MANY = Statement("""
    SELECT wanted.number, k.fingerprint, k.resource_id, k.response_status, k.response_body
    FROM json_to_recordset(:rows::json) AS wanted (number integer, merchant_id uuid, operation text, key text)
    JOIN idempotency_keys k
      ON k.merchant_id = wanted.merchant_id AND k.operation = wanted.operation AND k.key = wanted.key
""")


class KeyClaim(NamedTuple):
    """A key to take, the SHA-256 of the request, and the answer to keep under the key.

    `resource_id` is what the request made or changed. `operation` says what the key is for: a merchant may use the same
    key once for each operation.
    """

    merchant_id: UUID
    operation: str
    key: str
    fingerprint: bytes
    resource_id: UUID
    response_status: int
    response_body: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyedAnswer:
    """The answer kept under a key, and the SHA-256 of the request it answered.

    `response_body` is None once the answer has expired. The key stays taken.
    """

    fingerprint: bytes
    resource_id: UUID
    response_status: int
    response_body: str | None


def find(database: Database, merchant_id: UUID, operation: str, key: str) -> KeyedAnswer | None:
    """Return the answer kept under the key, or None if the key is free."""
    rows = database.run(_FIND, merchant_id=merchant_id, operation=operation, key=key)
    return KeyedAnswer(*rows[0]) if rows else None


def find_many(database: Database, keys: Sequence[tuple[UUID, str, str]]) -> list[KeyedAnswer | None]:
    """Return what is kept under each key, given by merchant, operation and key."""
    wanted = [
        {"number": number, "merchant_id": merchant_id, "operation": operation, "key": key}
        for number, (merchant_id, operation, key) in enumerate(keys)
    ]
    found = {row[0]: KeyedAnswer(*row[1:]) for row in database.run(_FIND_MANY, rows=json_rows(wanted))}
    return [found.get(number) for number in range(len(keys))]


def is_in_flight(error: LockTimeout) -> bool:
    """Tell whether a statement waited for another request with the same key, and not for another row or a table.

    PostgreSQL says in which table it met the other request's key. The sentence is in the server's language, the name
    is not.
    """
    return _TABLE in error.where
