"""What was not read of a month. It is looked for once, before the month leaves the database."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from paybridge.database.database import Database, Statement
from paybridge.database.parameters import uuid_array
from paybridge.outbox.event_log import LogPosition

_COUNT_BEHIND = Statement("""
    SELECT count(*)
    FROM unnest(:merchant_ids::uuid[], :xids::xid8[], :ids::uuid[]) AS reader (merchant_id, xid, id)
    WHERE EXISTS (
        SELECT FROM outbox o
        WHERE o.sequence > 0 AND o.merchant_id = reader.merchant_id AND (o.xid, o.id) > (reader.xid, reader.id)
          AND o.id >= :low::uuid AND o.id < :high::uuid
    )
""")

# Days are those of UTC, and so are months.
_HAS_CHANGED_DAYS = Statement("""
    SELECT EXISTS (
        SELECT FROM analytics.dirty_days
        WHERE uuid7_floor(day::timestamp AT TIME ZONE 'UTC') >= :low::uuid
          AND uuid7_floor(day::timestamp AT TIME ZONE 'UTC') < :high::uuid
    )
""")


def count_behind(database: Database, positions: Mapping[UUID, LogPosition], low: UUID, high: UUID) -> int:
    """Return how many of the merchants have events with ids from `low` to before `high` after their positions."""
    count: int = database.run(
        _COUNT_BEHIND,
        merchant_ids=uuid_array(positions),
        xids="{" + ",".join(place.xid for place in positions.values()) + "}",
        ids=uuid_array(place.event_id for place in positions.values()),
        low=low,
        high=high,
    )[0][0]
    return count


def has_changed_days(database: Database, low: UUID, high: UUID) -> bool:
    """Tell whether the figures of a day of the month with these ids are not computed yet."""
    return bool(database.run(_HAS_CHANGED_DAYS, low=low, high=high)[0][0])
