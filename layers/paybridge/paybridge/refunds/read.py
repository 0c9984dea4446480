"""Read one refund."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database
from paybridge.payments.wait import WaitedFor, Waiter
from paybridge.refunds.domain import Refund, is_settled
from paybridge.refunds.store import queries


def read_refund(database: Database, merchant_id: UUID | None, refund_id: UUID) -> Refund | None:
    """Return the merchant's refund, None if the merchant has no such refund. Raises DatabaseUnavailable.

    Without a merchant it is the refund of any.
    """
    return queries.get(database, merchant_id, refund_id)


async def wait_for_refund(
    waiter: Waiter, merchant_id: UUID | None, refund_id: UUID, wait_seconds: float
) -> WaitedFor[Refund]:
    """Return the merchant's refund once it has settled, or as it is after `wait_seconds`; see `Waiter.until`."""
    return await waiter.until(is_settled, lambda: queries.get(waiter.database, merchant_id, refund_id), wait_seconds)
