"""What analytics have not read of a month yet. Once the month leaves the database, its figures could never be made."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from paybridge.analytics.store import cursors, unread
from paybridge.database.database import Database
from paybridge.outbox import event_log

MERCHANTS_PAGE = 500


class UnreadDeliveries(Protocol):
    """The webhook deliveries of a month."""

    def has_unread(self, database: Database, after: cursors.DeliveryPlace, low: UUID, high: UUID) -> bool:
        """Tell whether one with an id from `low` to before `high` has ended after this place."""
        ...


class UnreadByAnalytics:
    """The events and webhook deliveries that the figures of days still lack."""

    def __init__(self, deliveries: UnreadDeliveries) -> None:
        self._deliveries = deliveries

    def describe_unread(self, database: Database, low: UUID, high: UUID) -> str | None:
        """Return what is not counted of the month with ids from `low` to before `high`, None if all is.

        Raises DatabaseUnavailable.
        """
        merchants = self._count_merchants(database, low, high)
        found = [f"events of {_number(merchants)} not yet read by analytics"] if merchants else []
        if self._deliveries.has_unread(database, cursors.deliveries_place(database), low, high):
            found.append("webhook deliveries not yet read by analytics")
        if unread.has_changed_days(database, low, high):
            found.append("days whose figures are not computed")
        return ", ".join(found) or None

    def _count_merchants(self, database: Database, low: UUID, high: UUID) -> int:
        count, after = 0, UUID(int=0)
        while found := event_log.merchants_with_events(database, after, MERCHANTS_PAGE):
            count += unread.count_behind(database, cursors.positions(database, found), low, high)
            after = found[-1]
        return count


def _number(merchants: int) -> str:
    return "1 merchant" if merchants == 1 else f"{merchants} merchants"
