"""The monthly partitions of the big tables."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

_ENSURE_PARTITIONS = Statement("SELECT ensure_partitions(:months_ahead::integer)")


def ensure_partitions(database: Database, months_ahead: int) -> int:
    """Makes the monthly partitions up to so many months ahead, and returns how many were missing."""
    made: int = database.run(_ENSURE_PARTITIONS, months_ahead=months_ahead)[0][0]
    return made
