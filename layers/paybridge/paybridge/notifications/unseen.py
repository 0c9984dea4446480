"""Find the events that a replay would notify contacts about: those without a notification."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.access.find_contacts import find_contacts
from paybridge.core.events import Event
from paybridge.database.database import Transaction
from paybridge.notifications.domain.notification import Channel, notifications_of
from paybridge.notifications.store import notifications


class UnseenNotifications:
    """The port of a replay to notifications."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        """Return the ids of the events that a contact chose and that have no notification by any channel."""
        if not events:
            return set()
        merchants = find_contacts(transaction, {event.merchant_id for event in events})
        wanted = {
            notification.id: event.id
            for event in events
            if event.merchant_id in merchants
            for notification in notifications_of(event, merchants[event.merchant_id], frozenset(Channel))
        }
        unknown = notifications.find_unknown(transaction, wanted) if wanted else set()
        # Which channels are on is a setting of the notifier alone. One notification shows that the event was there.
        return set(wanted.values()) - {event_id for id_, event_id in wanted.items() if id_ not in unknown}
