"""How far the relay is behind."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

# A refusal puts the row's next try off: by available_at, one that is refused for ever would never be late. It counts
# from its creation instead, so a retry that was meant to wait counts as older than it is while it is being refused.
_RELAY_LAG = Statement("""
    SELECT coalesce(extract(epoch FROM now() - least(
        (SELECT min(available_at) FROM outbox
         WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()),
        (SELECT min(created_at) FROM outbox
         WHERE published_at IS NULL AND exchange IS NOT NULL AND attempts > 0))), 0)::float8
""")

# Counting stops at a number that says enough: what takes longer the more waits would be slow when it matters.
_OUTBOX_DUE = Statement("""
    SELECT count(*) FROM (
        SELECT FROM outbox
        WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()
        LIMIT :limit::integer) AS due
""")


def relay_lag_seconds(database: Database) -> float:
    """How long the oldest message that is due or was refused has been waiting for the broker; 0 when none waits."""
    return float(database.run(_RELAY_LAG)[0][0])


def count_outbox_due(database: Database, limit: int) -> int:
    """How many messages are due and not published; `limit` if there are as many or more."""
    return int(database.run(_OUTBOX_DUE, limit=limit)[0][0])
