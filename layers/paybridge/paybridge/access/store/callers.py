"""Find the caller behind an API key."""

from __future__ import annotations

from paybridge.access.domain.caller import Principal, Role
from paybridge.database.database import Database, Statement

_FIND_KEY = Statement("""
    SELECT role, merchant_id, id, expires_at FROM api_keys WHERE key_hash = :key_hash::bytea AND revoked_at IS NULL
""")


def find_principal(database: Database, key_hash: bytes) -> Principal | None:
    """Return the owner of the API key with this hash, None if it is unknown or revoked. It may have expired."""
    rows = database.run(_FIND_KEY, key_hash=key_hash)
    if not rows:
        return None
    role, merchant_id, key_id, expires_at = rows[0]
    return Principal(Role(role), merchant_id, key_id, expires_at)
