"""Find the events that a replay would post: those without their journal in the live book."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from paybridge.core.events import Event
from paybridge.core.isolation import run_each_item
from paybridge.database.database import Transaction
from paybridge.ledger.domain.rules import journal_of
from paybridge.ledger.store import journals as journal_store


class UnpostedEvents:
    """The port of a replay to the books."""

    def find_unseen(self, transaction: Transaction, events: Sequence[Event]) -> set[UUID]:
        """Return the ids of the events whose journals are missing. An event that cannot be read has no journal."""
        # The fees change what a journal holds, and not whether there is one.
        journals = run_each_item(journal_of, events, lambda *_: None)
        return journal_store.find_missing(transaction, [each for each in journals if each is not None])
