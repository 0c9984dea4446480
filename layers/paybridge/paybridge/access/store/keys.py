"""API keys: list, rotate and revoke them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.access.domain.api_keys import StoredKey
from paybridge.access.domain.caller import Role
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.wire import Row

_COLUMNS = (
    "id, name, role, merchant_id, last_four, rate_per_second, rate_burst, created_at, created_by, expires_at, "
    "last_used_at, revoked_at, replaced_by"
)

# A merchant that does not exist gets no key.
_INSERT = Statement("""
    INSERT INTO api_keys (id, key_hash, name, role, merchant_id, last_four, rate_per_second, rate_burst, created_at,
                          created_by, expires_at)
    SELECT :id::uuid, :key_hash::bytea, :name::text, :role::text, :merchant_id::uuid, :last_four::text,
           :rate_per_second::integer, :rate_burst::integer, :created_at::timestamptz, :created_by::text,
           :expires_at::timestamptz
    WHERE :merchant_id::uuid IS NULL OR EXISTS (SELECT FROM merchants WHERE id = :merchant_id::uuid)
    RETURNING id
""")

# Ids of registered keys are random. The first page ends with an id that no key has.
_BEFORE = """
    (created_at, id) < (coalesce((SELECT last.created_at FROM api_keys last WHERE last.id = :before::uuid), 'infinity'),
                        :before::uuid)
"""
_LIST_OF_MERCHANT = Statement(f"""
    SELECT {_COLUMNS} FROM api_keys
    WHERE merchant_id = :merchant_id::uuid AND {_BEFORE}
    ORDER BY created_at DESC, id DESC LIMIT :limit::integer
""")
_LIST_OF_ALL = Statement(f"""
    SELECT {_COLUMNS} FROM api_keys WHERE {_BEFORE} ORDER BY created_at DESC, id DESC LIMIT :limit::integer
""")

_FIND = Statement(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id::uuid")

_LOCK = Statement(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id::uuid FOR UPDATE")

_REPLACE = Statement("""
    UPDATE api_keys SET replaced_by = :replaced_by::uuid, expires_at = :expires_at::timestamptz WHERE id = :id::uuid
""")

_REVOKE = Statement("""
    UPDATE api_keys SET revoked_at = :at::timestamptz, revoked_by = :revoked_by::text WHERE id = :id::uuid
""")

_NEWEST = UUID(int=2**128 - 1)


def insert(transaction: Transaction, key: StoredKey, key_hash: bytes) -> bool:
    """Store a key and return True, False if its merchant does not exist."""
    limit = key.rate_limit
    rows = transaction.run(
        _INSERT,
        id=key.id,
        key_hash=key_hash,
        name=key.name,
        role=str(key.role),
        merchant_id=key.merchant_id,
        last_four=key.last_four,
        rate_per_second=None if limit is None else limit.per_second,
        rate_burst=None if limit is None else limit.burst,
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=key.expires_at,
    )
    return bool(rows)


def list_newest_first(
    database: Database, merchant_id: UUID | None, *, before: UUID | None, limit: int
) -> list[StoredKey]:
    """Return at most `limit` keys, newest first, after the key `before`: the merchant's, or all if it is None."""
    if merchant_id is None:
        rows = database.run(_LIST_OF_ALL, before=before or _NEWEST, limit=limit)
    else:
        rows = database.run(_LIST_OF_MERCHANT, merchant_id=merchant_id, before=before or _NEWEST, limit=limit)
    return [_key_of(row) for row in rows]


def find(transaction: Transaction, id_: UUID) -> StoredKey | None:
    """Return a key, None if there is none."""
    rows = transaction.run(_FIND, id=id_)
    return _key_of(rows[0]) if rows else None


def lock(transaction: Transaction, id_: UUID) -> StoredKey | None:
    """Lock a key and return it, None if there is none."""
    rows = transaction.run(_LOCK, id=id_)
    return _key_of(rows[0]) if rows else None


def replace(transaction: Transaction, id_: UUID, replaced_by: UUID, expires_at: datetime) -> None:
    """Note that another key has taken the place of this one, which expires then."""
    transaction.run(_REPLACE, id=id_, replaced_by=replaced_by, expires_at=expires_at)


def revoke(transaction: Transaction, id_: UUID, at: datetime, revoked_by: str) -> None:
    """Revoke a key."""
    transaction.run(_REVOKE, id=id_, at=at, revoked_by=revoked_by)


def _key_of(row: Row) -> StoredKey:
    (id_, name, role, merchant_id, last_four, per_second, burst, created_at, created_by, expires_at, *others) = row
    last_used_at, revoked_at, replaced_by = others
    return StoredKey(
        id=id_,
        name=name,
        role=Role(role),
        merchant_id=merchant_id,
        last_four=last_four,
        rate_limit=None if per_second is None else RateLimit(per_second, burst),
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
        replaced_by=replaced_by,
    )
