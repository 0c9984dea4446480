"""Deliveries of a month that have ended. They are looked for once, before the month leaves the database."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.database.database import Database, Statement

# The condition and the time are spelled as in the index of what has ended.
_HAS_ENDED_AFTER = Statement("""
    SELECT EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE (d.finished_at IS NULL) IS NOT TRUE AND d.id >= :low::uuid AND d.id < :high::uuid
          AND (greatest(d.finished_at, d.created_at), d.id) > (:after_at::timestamptz, :after_id::uuid)
    )
""")


def has_ended_after(database: Database, after: tuple[datetime | str, UUID], low: UUID, high: UUID) -> bool:
    """Tell whether a delivery with an id from `low` to before `high` has ended after this end and id."""
    after_at, after_id = after
    return bool(database.run(_HAS_ENDED_AFTER, low=low, high=high, after_at=after_at, after_id=after_id)[0][0])
