"""Rotate an API key: make its successor, and let both work for a while."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from paybridge.access.create_key import KeyCreator, NewKey, limit_of
from paybridge.access.domain.api_keys import KeyState, StoredKey, expiry_after_rotation, key_hash, last_four
from paybridge.access.domain.rate_limit import stricter
from paybridge.access.new_secrets import new_api_key
from paybridge.access.store import keys
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database


def rotate_key(
    database: Database,
    clock: Clock,
    ids: Ids,
    merchant_id: UUID | None,
    key_id: UUID,
    *,
    overlap_seconds: int,
    created_by: KeyCreator,
) -> NewKey | StoredKey | None:
    """Return the new key, with the name, role, limits and end of the old one, which expires `overlap_seconds` from now.

    If a merchant's key asks for it, the new key has no higher limit than that one either.
    Return the old key unchanged if it is no longer active or was rotated before, None if the merchant (or, with None,
    anyone) has no such key. Of two rotations at once, one makes a key. Raises DatabaseUnavailable.
    """
    api_key = new_api_key()
    with database.transaction() as transaction:
        old = keys.lock(transaction, key_id)
        if old is None or (merchant_id is not None and old.merchant_id != merchant_id):
            return None
        now = clock.now()
        if old.replaced_by is not None or old.state(now) is not KeyState.ACTIVE:
            return old
        new = replace(
            old,
            id=ids.new(),
            last_four=last_four(api_key),
            created_at=now,
            created_by=created_by.actor,
            last_used_at=None,
            rate_limit=stricter(old.rate_limit, limit_of(transaction, created_by)),
        )
        keys.insert(transaction, new, key_hash(api_key))
        keys.replace(transaction, key_id, new.id, expiry_after_rotation(old.expires_at, now, overlap_seconds))
    return NewKey(new, api_key)
