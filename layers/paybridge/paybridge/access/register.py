"""Register callers of the API."""

from __future__ import annotations

from uuid import UUID

from paybridge.access.domain.api_keys import key_hash
from paybridge.access.domain.caller import Role
from paybridge.access.store import registration as accounts
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Database


def register_merchant(
    database: Database,
    *,
    name: str,
    api_key: str,
    webhook_secret: str | None = None,
    role: str = Role.MERCHANT,
    merchant_id: UUID | None = None,
) -> UUID | None:
    """Store the API key and, for a merchant's key, create the merchant. Return the merchant's id.

    The same key again changes nothing and returns the same id. The other roles have no merchant: their id is None and
    their webhook secret is ignored. `merchant_id` is for a new merchant, whose id is random without it. Raises
    InvalidInput for a merchant without a secret.
    """
    if role == Role.MERCHANT and not webhook_secret:
        raise InvalidInput("webhook_secret_missing", "A merchant needs a webhook secret.", "webhook_secret")
    digest = key_hash(api_key)
    with database.transaction() as transaction:
        accounts.lock_key(transaction, digest)
        exists, owner_id = accounts.find_key_owner(transaction, digest)
        if exists:
            return owner_id
        if role == Role.MERCHANT and webhook_secret:
            owner_id = accounts.insert_merchant(transaction, name, webhook_secret, merchant_id)
        accounts.insert_key(transaction, digest, owner_id, Role(role))
        return owner_id
