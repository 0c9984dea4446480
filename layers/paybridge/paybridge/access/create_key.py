"""Create an API key."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.access.domain.api_keys import StoredKey, key_hash, last_four
from paybridge.access.domain.caller import Role
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.new_secrets import new_api_key
from paybridge.access.store import keys
from paybridge.core.clock import Clock
from paybridge.core.errors import InvalidInput
from paybridge.core.ids import Ids
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """A key to create. A merchant's key names the merchant, and no other key does."""

    role: Role
    merchant_id: UUID | None = None
    name: str | None = None
    expires_at: datetime | None = None
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and what is stored of it. The key itself is shown here and never again."""

    key: StoredKey
    api_key: str


def create_key(database: Database, clock: Clock, ids: Ids, order: KeyOrder, *, created_by: str) -> NewKey:
    """Create a key, which works at once.

    Raises InvalidInput (`required`, `merchant_not_allowed`, `merchant_unknown`, `expires_at_past`) and
    DatabaseUnavailable.
    """
    now = clock.now()
    _check(order, now)
    api_key = new_api_key()
    key = StoredKey(
        id=ids.new(),
        name=order.name,
        role=order.role,
        merchant_id=order.merchant_id,
        last_four=last_four(api_key),
        rate_limit=order.rate_limit,
        created_at=now,
        created_by=created_by,
        expires_at=order.expires_at,
        last_used_at=None,
        revoked_at=None,
        replaced_by=None,
    )
    with database.transaction() as transaction:
        if not keys.insert(transaction, key, key_hash(api_key)):
            raise InvalidInput("merchant_unknown", "There is no such merchant. Create it first.", "merchant_id")
    return NewKey(key, api_key)


def _check(order: KeyOrder, now: datetime) -> None:
    if order.role is Role.MERCHANT and order.merchant_id is None:
        raise InvalidInput("required", "Name the merchant that the key is for.", "merchant_id")
    if order.role is not Role.MERCHANT and order.merchant_id is not None:
        detail = f"A key with the role {order.role} is for staff. Leave merchant_id out."
        raise InvalidInput("merchant_not_allowed", detail, "merchant_id")
    if order.expires_at is not None and order.expires_at <= now:
        raise InvalidInput("expires_at_past", "Send a time in the future, or none.", "expires_at")
