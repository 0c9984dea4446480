"""Brings the schema up to date; never back."""

from __future__ import annotations

import time
from dataclasses import dataclass

from paybridge.core.errors import LockTimeout, PaybridgeError, QueryFailed
from paybridge.database import health
from paybridge.database.database import Database
from paybridge.database.migrations import HEAD, migrate

# A migration that waits for a table makes everybody else wait behind it, so it gives up after the session's two
# seconds and comes again later, when the transaction that was in its way has ended.
LOCK_TRIES = 10
LOCK_PAUSE_SECONDS = 3.0

_UNDEFINED_TABLE = "42P01"


class RevisionUnknown(PaybridgeError):
    """The revision asked for is newer than all that this code knows."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What the schema was, None of an empty database, and what it is now."""

    before: str | None
    revision: str


def migrate_schema(
    database: Database, revision: str | None = None, pause_seconds: float = LOCK_PAUSE_SECONDS
) -> Migrated:
    """Brings the schema to `revision`, by default the newest, unless it is there or further.

    Safe to run twice, also at the same time.

    Further is fine: it happens when an older release is put back, and that works with what a newer one has added.
    Raises RevisionUnknown, DatabaseUnavailable, LockTimeout or QueryFailed; the schema then is what it was.
    """
    wanted = revision or HEAD
    if wanted > HEAD:
        raise RevisionUnknown(f"Revision {wanted} is wanted and {HEAD} is the newest here: build the package again.")
    before = _present_revision(database)
    if before is not None and before >= wanted:
        return Migrated(before, before)
    _migrate_once_there_is_room(database, wanted, pause_seconds)
    return Migrated(before, wanted)


def _present_revision(database: Database) -> str | None:
    try:
        return health.schema_revision(database)
    except QueryFailed as error:
        if error.sqlstate != _UNDEFINED_TABLE:
            raise
        return None


def _migrate_once_there_is_room(database: Database, revision: str, pause_seconds: float) -> None:
    for _ in range(LOCK_TRIES - 1):
        try:
            return migrate(database, revision)
        except LockTimeout:
            time.sleep(pause_seconds)
    return migrate(database, revision)
