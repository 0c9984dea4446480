"""Find the caller behind an API key."""

from __future__ import annotations

from paybridge.access.domain.caller import Principal
from paybridge.access.store import callers
from paybridge.database.database import Database


def identify_key(database: Database, key_hash: bytes) -> Principal | None:
    """Return the caller whose key has this SHA-256, None if it is unknown or revoked. Raises DatabaseUnavailable."""
    return callers.find_principal(database, key_hash)
