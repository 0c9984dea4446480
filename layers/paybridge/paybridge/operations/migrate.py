"""Bring the schema up to date, and never back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from paybridge.core.errors import LockTimeout, PaybridgeError, QueryFailed
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.database.migrations import HEAD, migrate

# A migration that waits for a table blocks everything behind it. So it gives up after the session's two seconds and
# retries later, when the transaction that held the lock has ended.
LOCK_TRIES = 10
LOCK_PAUSE_SECONDS = 3.0

_UNDEFINED_TABLE = "42P01"


class RevisionUnknown(PaybridgeError):
    """The requested revision is newer than any that this code knows."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """The revision before, None for an empty database, and the revision now."""

    before: str | None
    revision: str


def migrate_schema(
    database: Database, revision: str | None = None, pause_seconds: float = LOCK_PAUSE_SECONDS
) -> Migrated:
    """Bring the schema to `revision`, by default the newest, unless it is there or further. Safe to run concurrently.

    A newer schema is fine: after a rollback the older release works with it. Each revision has its own transaction and
    stays if a later one fails, because the code before it works with it. In one transaction they would hold the locks
    of several big tables and deadlock with payments under way.
    Raises RevisionUnknown, DatabaseUnavailable, LockTimeout or QueryFailed. The revision that failed changed nothing.
    """
    wanted = revision or HEAD
    if wanted > HEAD:
        raise RevisionUnknown(f"Revision {wanted} is wanted and {HEAD} is the newest here: build the package again.")
    before = _present_revision(database)
    if before is not None and before >= wanted:
        return Migrated(before, before)
    for number in range(int(before or "0") + 1, int(wanted) + 1):
        _migrate_when_unlocked(database, f"{number:04}", pause_seconds)
    return Migrated(before, wanted)


def _present_revision(database: Database) -> str | None:
    try:
        return health.schema_revision(database)
    except QueryFailed as error:
        if error.sqlstate != _UNDEFINED_TABLE:
            raise
        return None


def _migrate_when_unlocked(database: Database, revision: str, pause_seconds: float) -> None:
    for _ in range(LOCK_TRIES - 1):
        try:
            return migrate(database, revision)
        except LockTimeout:
            time.sleep(pause_seconds)
    return migrate(database, revision)
