"""Measure how far the relay is behind."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

# A refusal delays the next attempt, so a row that is refused every time would never be late by available_at. Its age
# counts from its creation instead. A delayed retry therefore looks older than it is while the broker refuses it.
_RELAY_LAG = Statement("""
    SELECT coalesce(extract(epoch FROM now() - least(
        (SELECT min(available_at) FROM outbox
         WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()),
        (SELECT min(created_at) FROM outbox
         WHERE published_at IS NULL AND exchange IS NOT NULL AND attempts > 0))), 0)::float8
""")

# Counting stops at a limit that says enough. A count of everything would be slowest when it matters most.
_OUTBOX_DUE = Statement("""
    SELECT count(*) FROM (
        SELECT FROM outbox
        WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
        LIMIT :limit::integer) AS due
""")


def relay_lag_seconds(database: Database) -> float:
    """Return how long the oldest message that is due or was refused has been waiting; 0 if none waits."""
    return float(database.run(_RELAY_LAG)[0][0])


def count_outbox_due(database: Database, limit: int) -> int:
    """Return how many messages are due and not published, at most `limit`."""
    return int(database.run(_OUTBOX_DUE, limit=limit)[0][0])
