"""Tell which events are accounted for as dead letters."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.dead_letters.store.audit import find_dead


def find_dead_events(transaction: Transaction, event_ids: Collection[UUID], queues: Sequence[str]) -> set[UUID]:
    """Return those of the events that died in one of the queues, and were not redriven."""
    found = find_dead(transaction, [str(id_) for id_ in event_ids], queues) if event_ids else set()
    return {id_ for id_ in event_ids if str(id_) in found}
