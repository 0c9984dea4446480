"""Audit webhooks: does every event have its deliveries, and every endpoint its events?"""

from __future__ import annotations

from paybridge.core.events import OUTCOME_TYPES, PROGRESS_TYPES, WEBHOOK_ENDPOINT_SUBJECT
from paybridge.core.gaps import AuditedEvent, AuditedPart, IdRange, SubjectSlice
from paybridge.database.database import Transaction
from paybridge.outbox.comparing import gaps_of
from paybridge.webhooks.store import audit


def find_missing_webhooks(
    transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str
) -> list[AuditedEvent]:
    """Return the events of the range, one entry for each receiver that should have a delivery and has none."""
    published = audit.find_undelivered(transaction, ids, ids.moments, grace_seconds, taken, OUTCOME_TYPES)
    steps = audit.find_undelivered_steps(transaction, ids, ids.moments, grace_seconds, PROGRESS_TYPES)
    return [*(AuditedEvent(*each) for each in published), *(AuditedEvent(*each) for each in steps)]


def audit_endpoints(transaction: Transaction, slice_: SubjectSlice) -> AuditedPart:
    """Compare the next endpoints with their events."""
    count, last = audit.next_endpoints(transaction, slice_.after, slice_.end, slice_.limit)
    until = slice_.until(count, last)
    rows = audit.compare_endpoints(transaction, slice_.after, until, slice_.begin_at, slice_.kept_from)
    return slice_.audited(count, last, gaps_of(WEBHOOK_ENDPOINT_SUBJECT, rows))
