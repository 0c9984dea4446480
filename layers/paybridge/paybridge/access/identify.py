"""Finding out who an API key belongs to."""

from __future__ import annotations

from paybridge.access import store as accounts
from paybridge.access.domain import Principal
from paybridge.database.database import Database


def identify_key(database: Database, key_hash: bytes) -> Principal | None:
    """The owner of the key with this SHA-256; None when it is unknown or revoked. Raises DatabaseUnavailable."""
    return accounts.find_principal(database, key_hash)
