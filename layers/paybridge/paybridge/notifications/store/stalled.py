"""Notifications that nothing goes on with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.database.database import Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.notifications.domain.notification import Channel, NotificationStatus

_LOCK = Statement("""
    SELECT id, merchant_id, payment_id, subject_type, subject_id, correlation_id, channel, status FROM notifications
    WHERE finished_at IS NULL AND coalesce(next_attempt_at, claimed_at) < :before::timestamptz
    ORDER BY coalesce(next_attempt_at, claimed_at)
    LIMIT :limit::integer
    FOR UPDATE SKIP LOCKED
""")

# The time moves on, so that the next run finds them only if this command is lost as well.
_MAKE_DUE = Statement("""
    UPDATE notifications n
    SET status = 'pending', next_attempt_at = now(),
        error = CASE n.status WHEN 'sending' THEN 'interrupted' ELSE n.error END
    FROM unnest(:ids::uuid[]) AS stalled (id) WHERE n.id = stalled.id
""")

_LEAVE_UNCLEAR = Statement("""
    UPDATE notifications n SET status = 'unclear', error = 'interrupted', finished_at = clock_timestamp()
    FROM unnest(:ids::uuid[]) AS stalled (id) WHERE n.id = stalled.id
""")


@dataclass(frozen=True, slots=True)
class StalledNotification:
    """An overdue notification, or one whose process died."""

    id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    subject_type: str
    subject_id: UUID
    correlation_id: str
    channel: Channel
    status: NotificationStatus


def lock_stalled(transaction: Transaction, before: datetime, limit: int) -> list[StalledNotification]:
    """Lock up to `limit` notifications that were due or claimed before `before`; return them oldest first."""
    rows = transaction.run(_LOCK, before=before, limit=limit)
    return [
        StalledNotification(
            id=id_,
            merchant_id=merchant_id,
            payment_id=payment_id,
            subject_type=subject_type,
            subject_id=subject_id,
            correlation_id=correlation_id,
            channel=Channel(channel),
            status=NotificationStatus(status),
        )
        for id_, merchant_id, payment_id, subject_type, subject_id, correlation_id, channel, status in rows
    ]


def make_due(transaction: Transaction, ids: Collection[UUID]) -> None:
    """Make these due now. They are locked."""
    transaction.run(_MAKE_DUE, ids=uuid_array(ids))


def leave_unclear(transaction: Transaction, ids: Collection[UUID]) -> None:
    """End these SMS without an answer. They are locked."""
    transaction.run(_LEAVE_UNCLEAR, ids=uuid_array(ids))
