"""The monthly partitions of the big tables."""

from __future__ import annotations

from paybridge.database.database import Database, Statement

_ENSURE_PARTITIONS = Statement("SELECT ensure_partitions(:months_ahead::integer)")


def ensure_partitions(database: Database, months_ahead: int) -> int:
    """Create the missing monthly partitions up to `months_ahead`, and return how many there were."""
    made: int = database.run(_ENSURE_PARTITIONS, months_ahead=months_ahead)[0][0]
    return made
