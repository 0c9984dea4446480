"""Check that the database answers and has the schema that this code needs."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

from paybridge.database.database import Database, Statement

_VERSIONS = Path(__file__).parent / "migrations" / "versions"

_SCHEMA_REVISION = Statement("SELECT version_num FROM alembic_version")

_PING = Statement("SELECT clock_timestamp()")


@cache
def expected_schema_revision() -> str:
    """Return the newest migration that this code knows.

    The name of its file begins with the revision. Importing Alembic for this would cost more than the whole check.
    """
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*_*.py"))


def ping(database: Database) -> datetime:
    """Return the database's time once it has answered; raise DatabaseUnavailable."""
    now: datetime = database.run(_PING)[0][0]
    return now


def schema_revision(database: Database) -> str | None:
    """Return the newest migration of the database; raise QueryFailed if it has never been migrated."""
    rows = database.run(_SCHEMA_REVISION)
    return str(rows[0][0]) if rows else None
