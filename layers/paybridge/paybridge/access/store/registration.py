"""Registration of callers whose key is given."""

from __future__ import annotations

from uuid import UUID

from paybridge.access.domain.caller import Role
from paybridge.database.database import Statement, Transaction

_LOCK_KEY = Statement("SELECT pg_advisory_xact_lock(hashtextextended(encode(:key_hash::bytea, 'hex'), 0))")

_FIND_KEY_OWNER = Statement("SELECT merchant_id FROM api_keys WHERE key_hash = :key_hash::bytea")

_INSERT_MERCHANT = Statement("""
    INSERT INTO merchants (id, name, webhook_secrets)
    VALUES (coalesce(:id::uuid, gen_random_uuid()), :name::text, ARRAY[:webhook_secret::text])
    RETURNING id
""")

_INSERT_KEY = Statement("""
    INSERT INTO api_keys (id, key_hash, merchant_id, role)
    VALUES (gen_random_uuid(), :key_hash::bytea, :merchant_id::uuid, :role::text)
""")


def lock_key(transaction: Transaction, key_hash: bytes) -> None:
    """Block other registrations of the same key until this transaction ends."""
    transaction.run(_LOCK_KEY, key_hash=key_hash)


def find_key_owner(transaction: Transaction, key_hash: bytes) -> tuple[bool, UUID | None]:
    """Return whether the key exists, revoked or not, and the merchant that it belongs to."""
    rows = transaction.run(_FIND_KEY_OWNER, key_hash=key_hash)
    return (True, rows[0][0]) if rows else (False, None)


def insert_merchant(transaction: Transaction, name: str, webhook_secret: str, id_: UUID | None) -> UUID:
    """Add a merchant with one webhook secret and return its id, which is random unless it is given."""
    merchant_id: UUID = transaction.run(_INSERT_MERCHANT, id=id_, name=name, webhook_secret=webhook_secret)[0][0]
    return merchant_id


def insert_key(transaction: Transaction, key_hash: bytes, merchant_id: UUID | None, role: Role) -> None:
    """Add an API key by its hash. Raises ConstraintViolated if the key exists."""
    transaction.run(_INSERT_KEY, key_hash=key_hash, merchant_id=merchant_id, role=str(role))
