"""Audit the bridge: was every event put on the bus?"""

from __future__ import annotations

from paybridge.bridge.store.sent import find_unsent, find_waiting
from paybridge.core.gaps import AuditedEvent, IdRange
from paybridge.database.database import Transaction


def find_missing_on_bus(transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str) -> list[AuditedEvent]:
    """Return the events of the range that are not on the bus, and that no command will put there."""
    unsent = find_unsent(transaction, ids, grace_seconds, taken)
    waiting = find_waiting(transaction, {each[0]: each[4] for each in unsent}, grace_seconds)
    return [AuditedEvent(*each, "not on the bus") for each in unsent if each[0] not in waiting]
