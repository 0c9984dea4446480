"""What tells whether the database is fit for work."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

from paybridge.database.database import Database, Statement

_VERSIONS = Path(__file__).parent / "migrations" / "versions"

_SCHEMA_REVISION = Statement("SELECT version_num FROM alembic_version")

_PING = Statement("SELECT 1")

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

# Only so many of the oldest payments that should have settled are looked at, by the time in their ids. Stuck are those
# that nothing is on its way for, as for the sweep (maintenance.py), and those that are old whatever is on its way.
_STUCK_PAYMENTS = Statement("""
    SELECT count(*) FROM (
        SELECT p.id, p.updated_at FROM payments p
        WHERE p.is_unsettled AND p.id < uuid7_floor(:before::timestamptz)
        ORDER BY p.id
        LIMIT :limit::integer) AS oldest
    WHERE id < uuid7_floor(:old_before::timestamptz)
       OR updated_at < :before::timestamptz AND NOT EXISTS (
          SELECT FROM outbox o
          WHERE o.payment_id = oldest.id AND o.exchange IS NOT NULL
            AND (o.published_at IS NULL OR o.published_at >= :before::timestamptz))
""")


@cache
def expected_schema_revision() -> str:
    """The newest migration that this code knows: its file name begins with the revision, and importing Alembic for
    this would cost more than the whole check."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def ping(database: Database) -> None:
    """Returns once the database has answered; raises DatabaseUnavailable."""
    database.run(_PING)


def schema_revision(database: Database) -> str | None:
    """The newest migration that the database has; raises QueryFailed when it has never been migrated."""
    rows = database.run(_SCHEMA_REVISION)
    return str(rows[0][0]) if rows else None


def relay_lag_seconds(database: Database) -> float:
    """How long the oldest message that is due or was refused has been waiting for the broker; 0 when none waits."""
    return float(database.run(_RELAY_LAG)[0][0])


def count_outbox_due(database: Database, limit: int) -> int:
    """How many messages are due and not published; `limit` if there are as many or more."""
    return int(database.run(_OUTBOX_DUE, limit=limit)[0][0])


def count_stuck_payments(database: Database, before: datetime, old_before: datetime, limit: int) -> int:
    """How many of the `limit` oldest unsettled payments nothing is on its way for since `before`, or are from
    before `old_before`.
    """
    return int(database.run(_STUCK_PAYMENTS, before=before, old_before=old_before, limit=limit)[0][0])
