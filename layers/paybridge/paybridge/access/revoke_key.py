"""Revoke an API key."""

from __future__ import annotations

from uuid import UUID

from paybridge.access.store import keys
from paybridge.core.clock import Clock
from paybridge.database.database import Database


def revoke_key(database: Database, clock: Clock, merchant_id: UUID | None, key_id: UUID, *, revoked_by: str) -> bool:
    """Revoke the merchant's key, or with None anyone's; return whether there is such a key.

    It stops working within the time for which environments of the API cache an answer (see `api.auth`). The second time
    changes nothing. Raises DatabaseUnavailable.
    """
    with database.transaction() as transaction:
        key = keys.lock(transaction, key_id)
        if key is None or (merchant_id is not None and key.merchant_id != merchant_id):
            return False
        if key.revoked_at is None:
            keys.revoke(transaction, key_id, clock.now(), revoked_by)
    return True
