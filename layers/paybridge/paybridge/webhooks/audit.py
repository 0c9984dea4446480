"""Audit webhooks: does every event have its deliveries?"""

from __future__ import annotations

from paybridge.core.events import OUTCOME_TYPES
from paybridge.core.gaps import AuditedEvent, IdRange
from paybridge.database.database import Transaction
from paybridge.webhooks.store.audit import find_undelivered


def find_missing_webhooks(
    transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str
) -> list[AuditedEvent]:
    """Return the events of the range, one entry for each receiver that should have a delivery and has none."""
    found = find_undelivered(transaction, ids, ids.moments, grace_seconds, taken, OUTCOME_TYPES)
    return [AuditedEvent(*each) for each in found]
