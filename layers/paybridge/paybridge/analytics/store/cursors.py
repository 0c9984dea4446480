"""How far events and ended deliveries were read. Only the transaction that holds a cursor's row reads on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from paybridge.analytics.ports import DeliveryEnd
from paybridge.database.database import Database, Statement, Transaction
from paybridge.database.parameters import uuid_array
from paybridge.outbox.event_log import START, LogPosition

_FIND = Statement("""
    SELECT c.merchant_id, c.xid::text, c.event_id
    FROM unnest(:merchant_ids::uuid[]) AS wanted (id) JOIN analytics.event_cursors c ON c.merchant_id = wanted.id
""")

_ADD = Statement("""
    INSERT INTO analytics.event_cursors (merchant_id) VALUES (:merchant_id::uuid) ON CONFLICT DO NOTHING
""")

_LOCK = Statement("""
    SELECT xid::text, event_id FROM analytics.event_cursors WHERE merchant_id = :merchant_id::uuid
    FOR UPDATE SKIP LOCKED
""")

_SAVE = Statement("""
    UPDATE analytics.event_cursors SET xid = :xid::xid8, event_id = :event_id::uuid, events = events + :events::bigint
    WHERE merchant_id = :merchant_id::uuid
""")

_DELIVERIES = Statement("SELECT ended_at::text, delivery_id FROM analytics.delivery_cursor WHERE is_only")

_LOCK_DELIVERIES = Statement("""
    SELECT ended_at::text, delivery_id FROM analytics.delivery_cursor WHERE is_only FOR UPDATE SKIP LOCKED
""")

_SAVE_DELIVERIES = Statement("""
    UPDATE analytics.delivery_cursor SET ended_at = :ended_at::timestamptz, delivery_id = :delivery_id::uuid
    WHERE is_only
""")


# When a delivery ended, and its id.
DeliveryPlace = tuple[datetime | str, UUID]


def positions(database: Database, merchant_ids: Iterable[UUID]) -> dict[UUID, LogPosition]:
    """Return how far the events of these merchants were read. Raises DatabaseUnavailable."""
    known = {row[0]: LogPosition(row[1], row[2]) for row in database.run(_FIND, merchant_ids=uuid_array(merchant_ids))}
    return {merchant_id: known.get(merchant_id, START) for merchant_id in merchant_ids}


def lock(transaction: Transaction, merchant_id: UUID) -> LogPosition | None:
    """Lock the merchant's cursor; None if another transaction has it."""
    transaction.run(_ADD, merchant_id=merchant_id)
    rows = transaction.run(_LOCK, merchant_id=merchant_id)
    return LogPosition(*rows[0]) if rows else None


def save(transaction: Transaction, merchant_id: UUID, end: LogPosition, events: int) -> None:
    """Save how far the merchant's events were read. The cursor is locked."""
    transaction.run(_SAVE, merchant_id=merchant_id, xid=end.xid, event_id=end.event_id, events=events)


def deliveries_place(database: Database) -> DeliveryPlace:
    """Return how far the deliveries that have ended were read. Raises DatabaseUnavailable."""
    ended_at, delivery_id = database.run(_DELIVERIES)[0]
    return ended_at, delivery_id


def lock_deliveries(transaction: Transaction) -> DeliveryPlace | None:
    """Lock the cursor of deliveries; None if another transaction has it."""
    rows = transaction.run(_LOCK_DELIVERIES)
    return (rows[0][0], rows[0][1]) if rows else None


def save_deliveries(transaction: Transaction, last: DeliveryEnd) -> None:
    """Save that deliveries were read up to this one. The cursor is locked."""
    transaction.run(_SAVE_DELIVERIES, ended_at=last.ended_at, delivery_id=last.id)
