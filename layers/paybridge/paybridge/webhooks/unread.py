"""Tell the archive what a reader of ended deliveries has not read of a month."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database
from paybridge.webhooks.store import ended_of_month


class DeliveriesOfMonth:
    """The deliveries that were written in a month."""

    def has_unread(self, database: Database, after: tuple[datetime | str, UUID], low: UUID, high: UUID) -> bool:
        """Tell whether one with an id from `low` to before `high` has ended after this end and id.

        Raises DatabaseUnavailable.
        """
        return ended_of_month.has_ended_after(database, after, low, high)
