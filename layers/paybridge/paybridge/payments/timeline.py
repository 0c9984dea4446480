"""Read the timeline of one payment."""

from __future__ import annotations

from uuid import UUID

from paybridge.database.database import Database
from paybridge.payments.domain.query import TimelineEntry
from paybridge.payments.store import queries as payment_queries


def payment_timeline(database: Database, merchant_id: UUID, payment_id: UUID) -> list[TimelineEntry] | None:
    """Return everything that happened to the merchant's payment, oldest first; None if there is no such payment.

    Raises DatabaseUnavailable.
    """
    # A payment and its first event are written together, so no payment has an empty timeline.
    return payment_queries.timeline(database, merchant_id, payment_id) or None
