"""Count dead letters for the alarm."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

# Counting stops at a limit that says enough.
_DEAD = Statement("""
    SELECT count(*) FROM (SELECT FROM dead_letters WHERE state = 'dead' LIMIT :limit::integer) AS dead
""")


def count_dead(database: Database, limit: int) -> int:
    """Return how many dead letters wait for an operator, at most `limit`."""
    return int(database.run(_DEAD, limit=limit)[0][0])
