"""Count what is open: payments and circuits."""

from __future__ import annotations

from datetime import datetime

from paybridge.database.database import Database, Statement

# Counting stops at a limit, and reads the index of unsettled payments only.
_UNSETTLED = Statement("""
    SELECT status, count(*) FROM (
        SELECT status FROM payments WHERE is_unsettled ORDER BY id LIMIT :limit::integer) AS unsettled
    GROUP BY status
""")

_OPEN_CIRCUITS = Statement("SELECT count(*) FROM circuits WHERE open_until > :now::timestamptz")


def count_unsettled(database: Database, limit: int) -> dict[str, int]:
    """Return how many of the oldest `limit` unsettled payments have each status."""
    return {status: count for status, count in database.run(_UNSETTLED, limit=limit)}  # noqa: C416 -- rows are lists.


def count_open_circuits(database: Database, now: datetime) -> int:
    """Return how many circuits let no calls through at `now`."""
    return int(database.run(_OPEN_CIRCUITS, now=now)[0][0])
