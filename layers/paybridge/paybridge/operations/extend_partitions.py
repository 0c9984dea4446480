"""Makes the monthly partitions before their month begins."""

from __future__ import annotations

from paybridge.database import partitions
from paybridge.database.database import Database

# A quarter ahead: months of a jobs function that fails every time still leave room for every payment.
MONTHS_AHEAD = 3


def extend_partitions(database: Database) -> int:
    """Makes the partitions that are missing, and returns how many those were. Raises DatabaseUnavailable."""
    return partitions.ensure_partitions(database, MONTHS_AHEAD)
