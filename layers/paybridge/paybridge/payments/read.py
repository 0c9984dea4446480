"""Read one payment."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database
from paybridge.payments.domain.payment import Payment
from paybridge.payments.store import queries as payment_queries


def read_payment(database: Database, merchant_id: UUID | None, payment_id: UUID) -> Payment | None:
    """Return the merchant's payment, None if the merchant has no such payment. Raises DatabaseUnavailable.

    Without a merchant it is the payment of any.
    """
    return payment_queries.get(database, merchant_id, payment_id)
