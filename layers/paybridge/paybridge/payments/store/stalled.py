"""Stalled payments: open, and with no message in flight."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from paybridge.database.database import Database, Statement, Transaction
from paybridge.payments.domain.payment import Status

# An open payment `p` has stalled if nothing changed it and no message about it was written for a while. A message that
# waits in the outbox or in a long queue is no reason to send a second one every minute. A change in the future was
# written by a clock that was wrong, and says nothing.
_HAS_STALLED = """
    (p.updated_at < :before::timestamptz OR p.updated_at > now() + interval '1 minute') AND NOT EXISTS (
        SELECT FROM outbox o
        WHERE o.payment_id = p.id AND o.exchange IS NOT NULL
          AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz))
"""

_LOCK = Statement(f"""
    SELECT p.id, p.merchant_id, p.correlation_id, p.status,
           coalesce((SELECT o.number FROM operations o WHERE o.id = p.id), 0)
    FROM payments p
    WHERE p.is_unsettled AND {_HAS_STALLED}
    ORDER BY p.id
    LIMIT :limit::integer
    FOR UPDATE OF p SKIP LOCKED
""")

# Bounded: only the oldest open payments are looked at, by the time in their ids.
_COUNT = Statement(f"""
    SELECT count(*) FROM (
        SELECT id, updated_at FROM payments
        WHERE is_unsettled AND id < uuid7_floor(:before::timestamptz)
        ORDER BY id
        LIMIT :limit::integer) AS p
    WHERE {_HAS_STALLED} OR (
        p.id < uuid7_floor(:old_before::timestamptz) AND NOT EXISTS (
            SELECT FROM operations o WHERE o.id = p.id AND o.pending_at IS NOT NULL))
""")


class StalledPayment(NamedTuple):
    """A stalled payment, and how many attempts at its charge there were."""

    id: UUID
    merchant_id: UUID
    correlation_id: str
    status: Status
    attempts: int


def lock_stalled(transaction: Transaction, now: datetime, after: timedelta, limit: int) -> list[StalledPayment]:
    """Lock up to `limit` payments that have stalled for longer than `after`, oldest first."""
    rows = transaction.run(_LOCK, before=now - after, limit=limit)
    return [
        StalledPayment(id_, merchant_id, correlation_id, Status(status), attempts)
        for id_, merchant_id, correlation_id, status, attempts in rows
    ]


def count_stalled(database: Database, before: datetime, old_before: datetime, limit: int) -> int:
    """Count, among the `limit` oldest open payments, those that stalled before `before` or are older than `old_before`.

    A payment older than `old_before` counts even if a message about it is in flight, unless the gateway has said that
    it has the charge: that may take days.
    """
    return int(database.run(_COUNT, before=before, old_before=old_before, limit=limit)[0][0])
