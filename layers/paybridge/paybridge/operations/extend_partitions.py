"""Create the monthly partitions before their month begins."""

from __future__ import annotations

from paybridge.database import partitions
from paybridge.database.database import Database

# A quarter ahead: payments are accepted even if the jobs function fails for months.
MONTHS_AHEAD = 3


def extend_partitions(database: Database) -> int:
    """Create the missing partitions and return their number. Raises DatabaseUnavailable."""
    return partitions.ensure_partitions(database, MONTHS_AHEAD)
