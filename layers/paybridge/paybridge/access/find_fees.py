"""Find what merchants paid for payments, at any time."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from paybridge.access.domain.fees import FeeChange
from paybridge.access.store import fees
from paybridge.database.database import Transaction


def find_fees(transaction: Transaction, merchant_ids: Iterable[UUID]) -> dict[UUID, list[FeeChange]]:
    """Return the history of fees of those merchants that have one, each in the order of time.

    Raises DatabaseUnavailable.
    """
    return fees.find(transaction, merchant_ids)
