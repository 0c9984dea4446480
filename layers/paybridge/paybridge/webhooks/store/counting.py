"""Count deliveries that wait."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

# Counting stops at a limit, and reads the index of pending deliveries only.
_PENDING = Statement("""
    SELECT count(*) FROM (
        SELECT FROM webhook_deliveries WHERE finished_at IS NULL
        ORDER BY coalesce(next_attempt_at, created_at) LIMIT :limit::integer) AS pending
""")


def count_pending(database: Database, limit: int) -> int:
    """Return how many deliveries are pending, at most `limit`."""
    return int(database.run(_PENDING, limit=limit)[0][0])
