"""Tell a replay which events the bridge would send."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import Event
from paybridge.database.database import Transaction


class BridgeReplay:
    """The port of a replay to the bridge. What it records as sent is sent again: listeners know an event by its id."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:  # noqa: ARG002 - of the port
        """Return the ids of all events, because each is sent."""
        return {event.id for event in events}
