"""Change a merchant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from paybridge.access.domain.merchants import Merchant
from paybridge.access.store import merchants
from paybridge.core.clock import Clock
from paybridge.database.database import Database


def change_merchant(database: Database, clock: Clock, merchant_id: UUID, changes: Mapping[str, Any]) -> Merchant | None:
    """Replace these members of the merchant's details and return it, None if there is none.

    Other fees count from a minute later on. Changes at once do not undo each other: each replaces only the members that
    it names. Raises DatabaseUnavailable.
    """
    with database.transaction() as transaction:
        merchant = merchants.lock(transaction, merchant_id)
        if merchant is None:
            return None
        merchants.update(transaction, merchant_id, replace(merchant.details, **changes), clock.now())
        return merchants.lock(transaction, merchant_id)
