"""What tells whether the database is fit for work."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from paybridge.store.database import Database, Statement

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
