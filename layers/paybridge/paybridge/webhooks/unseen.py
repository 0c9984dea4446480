"""Tell which events a replay would deliver: those for which a delivery is missing."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import Event
from paybridge.database.database import Transaction
from paybridge.webhooks.begin import new_deliveries
from paybridge.webhooks.store.deliveries import find_unknown


class UnseenWebhooks:
    """The port of a replay to webhooks."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        """Return the ids of the events that an endpoint chooses, or a payment's URL gets, and that have no delivery."""
        wanted = {delivery.id: delivery.event_id for delivery in new_deliveries(transaction, events)}
        return {wanted[id_] for id_ in find_unknown(transaction, wanted)} if wanted else set()
