"""Read the events of the outbox in the order of their transactions.

A position never passes an event that commits later: rows are read only below the oldest transaction that may still
commit, and every later row has a higher number. A long transaction holds the feed up, and nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from paybridge.core.events import PAYMENT_SUBJECT
from paybridge.core.times import lowest_id, shift
from paybridge.database.database import Database, Statement
from paybridge.database.wire import Row
from paybridge.feed.domain import FeedEvent, FeedFilters, Position

# An id is made moments before or after `created_at`, so a range of ids is wider than the range of times.
_SLACK = timedelta(minutes=1)
_ID_MAX = UUID(int=2**128 - 1)

_COLUMNS = f"""
    o.id, o.xid::text, o.type, o.created_at, coalesce(o.subject_type, '{PAYMENT_SUBJECT}'),
    coalesce(o.subject_id, o.payment_id), o.sequence
"""
# The body of an event that does not match stays where it is. Ids alone spare the partitions of other months.
_SHOWN = f"""
    {_COLUMNS}, CASE WHEN o.type = ANY (:shown::text[]) AND o.created_at >= :created_from::timestamptz
                          AND o.created_at < :created_to::timestamptz THEN o.body END
"""
_IDS = "o.id >= :not_before::uuid AND o.id < :before::uuid"
_AFTER = ":after_xid::xid8, :after_id::uuid"
_HORIZON = "pg_snapshot_xmin(pg_current_snapshot())"

_OF_MERCHANT = Statement(f"""
    SELECT {_SHOWN} FROM outbox o
    WHERE o.sequence > 0 AND {_IDS} AND (o.merchant_id, o.xid, o.id) > (:merchant_id::uuid, {_AFTER})
      AND (o.merchant_id, o.xid) < (:merchant_id::uuid, {_HORIZON})
    ORDER BY o.merchant_id, o.xid, o.id
    LIMIT :limit::integer
""")

# One part of the index for each merchant, because an index of all events would cost every writer as much again.
_OF_ALL = Statement(f"""
    SELECT part.* FROM merchants m CROSS JOIN LATERAL (
        SELECT {_SHOWN} FROM outbox o
        WHERE o.sequence > 0 AND {_IDS} AND (o.merchant_id, o.xid, o.id) > (m.id, {_AFTER})
          AND (o.merchant_id, o.xid) < (m.id, {_HORIZON})
        ORDER BY o.merchant_id, o.xid, o.id
        LIMIT :limit::integer
    ) AS part
    ORDER BY part.xid::xid8, part.id
    LIMIT :limit::integer
""")

_OF_PAYMENT = Statement(f"""
    SELECT {_SHOWN} FROM outbox o
    WHERE {_IDS} AND o.sequence IS NOT NULL AND o.payment_id = :payment_id::uuid
      AND (o.merchant_id = :merchant_id::uuid OR :is_staff::boolean)
      AND (o.xid, o.id) > ({_AFTER}) AND o.xid < {_HORIZON}
    ORDER BY o.xid, o.id
    LIMIT :limit::integer
""")

_HAS_LATER = Statement(f"""
    SELECT EXISTS (
        SELECT FROM outbox o
        WHERE o.payment_id = :payment_id::uuid AND o.sequence IS NOT NULL AND o.type = ANY (:shown::text[])
          AND (o.xid, o.id) > ({_AFTER})
    )
""")

_OWN = "o.sequence IS NOT NULL AND (o.merchant_id = :merchant_id::uuid OR :is_staff::boolean)"
_FIND = Statement(f"""
    SELECT {_COLUMNS}, o.body FROM outbox o WHERE o.id = :id::uuid AND {_OWN} AND o.type = ANY (:shown::text[])
""")
_FIND_POSITION = Statement(f"SELECT o.xid::text FROM outbox o WHERE o.id = :id::uuid AND {_OWN}")
_FIND_HORIZON = Statement(f"SELECT {_HORIZON}::text")


class ScannedEvent(NamedTuple):
    """A place that was passed in the feed. There is no event if the one there does not match the filters."""

    position: Position
    event: FeedEvent | None


def scan(
    database: Database, merchant_id: UUID | None, filters: FeedFilters, after: Position, limit: int
) -> list[ScannedEvent]:
    """Return the next `limit` events after the position, those that do not match included.

    They are the merchant's, or those of every merchant if it is None. Raises DatabaseUnavailable.
    """
    bounds = _bounds(filters) | {"after_xid": str(after.xid), "after_id": after.event_id, "limit": limit}
    if filters.payment_id is not None:
        rows = database.run(_OF_PAYMENT, payment_id=filters.payment_id, **_caller(merchant_id), **bounds)
    elif merchant_id is not None:
        rows = database.run(_OF_MERCHANT, merchant_id=merchant_id, **bounds)
    else:
        rows = database.run(_OF_ALL, **bounds)
    return [
        ScannedEvent(Position(int(row[1]), row[0]), None if row[7] is None else _event_from_row(row)) for row in rows
    ]


def has_later(database: Database, payment_id: UUID, types: Sequence[str], after: Position) -> bool:
    """Tell whether the payment has an event after the position, including those that the feed does not show yet."""
    parameters = {"payment_id": payment_id, "shown": _array(types), "after_xid": str(after.xid)}
    found: bool = database.run(_HAS_LATER, after_id=after.event_id, **parameters)[0][0]
    return found


def find(database: Database, merchant_id: UUID | None, event_id: UUID, types: Sequence[str]) -> FeedEvent | None:
    """Return the event, None if there is none of these types or it belongs to another merchant than the one given."""
    rows = database.run(_FIND, id=event_id, shown=_array(types), **_caller(merchant_id))
    return _event_from_row(rows[0]) if rows else None


def find_position(database: Database, merchant_id: UUID | None, event_id: UUID) -> Position | None:
    """Return the position of an event, None if there is none or it belongs to another merchant than the one given."""
    rows = database.run(_FIND_POSITION, id=event_id, **_caller(merchant_id))
    return Position(int(rows[0][0]), event_id) if rows else None


def find_end(database: Database) -> Position:
    """Return the position after every event that the feed shows now, and before all that follow."""
    return Position(int(database.run(_FIND_HORIZON)[0][0]) - 1, _ID_MAX)


def _caller(merchant_id: UUID | None) -> dict[str, object]:
    return {"merchant_id": merchant_id, "is_staff": merchant_id is None}


def _bounds(filters: FeedFilters) -> dict[str, Any]:
    begin, end = filters.created_from, filters.created_to
    return {
        "shown": _array(filters.types),
        "created_from": begin or "-infinity",
        "created_to": end or "infinity",
        "not_before": lowest_id(shift(begin, -_SLACK)) if begin else UUID(int=0),
        "before": lowest_id(shift(end, _SLACK)) if end else _ID_MAX,
    }


def _array(texts: Sequence[str]) -> str:
    return "{" + ",".join(texts) + "}"


def _event_from_row(row: Row) -> FeedEvent:
    id_, xid, type_, created_at, subject_type, subject_id, sequence, body = row
    return FeedEvent(
        Position(int(xid), id_), type_, created_at, subject_type, subject_id, sequence, orjson.loads(body)["data"]
    )
