"""Count dead letters for the alarm and the metrics."""

from __future__ import annotations

from paybridge.database.database import Database, Statement
from paybridge.dead_letters.domain import State

# Counting stops at a limit that says enough.
_DEAD = Statement("""
    SELECT count(*) FROM (SELECT FROM dead_letters WHERE state = 'dead' LIMIT :limit::integer) AS dead
""")
_IN_STATE = Statement("""
    SELECT count(*) FROM (
        SELECT FROM dead_letters WHERE state = :state::text ORDER BY id LIMIT :limit::integer) AS in_state
""")


def count_in_state(database: Database, state: State, limit: int) -> int:
    """Return how many dead letters are in the state, at most `limit`."""
    return int(database.run(_IN_STATE, state=str(state), limit=limit)[0][0])


def count_dead(database: Database, limit: int) -> int:
    """Return how many dead letters wait for an operator, at most `limit`."""
    return int(database.run(_DEAD, limit=limit)[0][0])
