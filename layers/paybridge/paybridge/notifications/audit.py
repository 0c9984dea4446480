"""Audit notifications: was every contact notified of what it chose?"""

from __future__ import annotations

from collections.abc import Collection

from paybridge.core.events import PUBLISHED_TYPES
from paybridge.core.gaps import AuditedEvent, IdRange
from paybridge.database.database import Transaction
from paybridge.notifications.domain.notification import Channel
from paybridge.notifications.store.audit import find_untold


def find_missing_notifications(
    transaction: Transaction, ids: IdRange, grace_seconds: float, taken: str, channels: Collection[Channel]
) -> list[AuditedEvent]:
    """Return the events of the range, one entry for each channel in use by which there should be a notification."""
    if not channels:
        return []
    found = find_untold(
        transaction, ids, ids.moments, grace_seconds, taken, told=PUBLISHED_TYPES, channels=sorted(channels)
    )
    return [AuditedEvent(*each) for each in found]
