"""Tell a replay which events the bridge would send."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import Event
from paybridge.database.database import Transaction


class SentAgain:
    """Consumer of replays. The bridge keeps no record of what it sent: who listens knows an event by its id."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:  # noqa: ARG002 - of the port
        """Return the ids of all events, because each is sent."""
        return {event.id for event in events}
