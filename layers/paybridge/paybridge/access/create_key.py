"""Create an API key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from paybridge.access.domain.api_keys import StoredKey, key_hash, last_four
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.domain.rate_limit import RateLimit, stricter
from paybridge.access.new_secrets import new_api_key
from paybridge.access.store import keys
from paybridge.core.clock import Clock
from paybridge.core.errors import InvalidInput
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrder:
    """A key to create. A merchant's key names the merchant, and no other key does."""

    role: Role
    merchant_id: UUID | None = None
    name: str | None = None
    expires_at: datetime | None = None
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True)
class KeyCreator:
    """Who creates a key. `actor` is the name that is recorded, `limited_by` the key whose limit is passed on."""

    actor: str
    limited_by: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and what is stored of it. The key itself is shown here and never again."""

    key: StoredKey
    api_key: str


def create_key(
    database: Database,
    clock: Clock,
    ids: Ids,
    order: KeyOrder,
    *,
    created_by: KeyCreator,
) -> NewKey:
    """Create a key, which works at once. A key that a merchant's key creates has that key's limit, or a stricter one.

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
        created_by=created_by.actor,
        expires_at=order.expires_at,
        last_used_at=None,
        revoked_at=None,
        replaced_by=None,
    )
    with database.transaction() as transaction:
        key = replace(key, rate_limit=stricter(key.rate_limit, limit_of(transaction, created_by)))
        if not keys.insert(transaction, key, key_hash(api_key)):
            raise InvalidInput("merchant_unknown", "There is no such merchant. Create it first.", "merchant_id")
    return NewKey(key, api_key)


def creator_of(principal: Principal) -> KeyCreator:
    """Return the caller as the creator of a key. A merchant's key passes on its limit, staff and tokens have none.

    Otherwise a limited key could make itself one without a limit.
    """
    return KeyCreator(principal.actor, principal.key_id if principal.role is Role.MERCHANT else None)


def limit_of(transaction: Transaction, creator: KeyCreator) -> RateLimit | None:
    """Return the limit that the creator passes on to the keys that it makes."""
    key = None if creator.limited_by is None else keys.find(transaction, creator.limited_by)
    return None if key is None else key.rate_limit


def _check(order: KeyOrder, now: datetime) -> None:
    if order.role is Role.MERCHANT and order.merchant_id is None:
        raise InvalidInput("required", "Name the merchant that the key is for.", "merchant_id")
    if order.role is not Role.MERCHANT and order.merchant_id is not None:
        detail = f"A key with the role {order.role} is for staff. Leave merchant_id out."
        raise InvalidInput("merchant_not_allowed", detail, "merchant_id")
    if order.expires_at is not None and order.expires_at <= now:
        raise InvalidInput("expires_at_past", "Send a time in the future, or none.", "expires_at")
