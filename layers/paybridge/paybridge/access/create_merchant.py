"""Create a merchant."""

from __future__ import annotations

from dataclasses import dataclass

from paybridge.access.domain.merchants import Merchant, MerchantDetails
from paybridge.access.new_secrets import new_webhook_secret
from paybridge.access.store import merchants
from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database


@dataclass(frozen=True, slots=True)
class NewMerchant:
    """A merchant, and the secret that signs the webhooks of payments with a `webhook_url`. It is shown here only."""

    merchant: Merchant
    webhook_secret: str


def create_merchant(database: Database, clock: Clock, ids: Ids, details: MerchantDetails) -> NewMerchant:
    """Create a merchant, which has no API key yet. Raises DatabaseUnavailable."""
    now = clock.now()
    merchant = Merchant(id=ids.new(), details=details, created_at=now, updated_at=now, fees_valid_from=now)
    webhook_secret = new_webhook_secret()
    merchants.insert(database, merchant, webhook_secret)
    return NewMerchant(merchant, webhook_secret)
