"""The monthly partitions of the big tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from paybridge.database.database import Database, Statement

# A partition is attached under the locks of its table's default partition. Everything that wants to read or write there
# waits behind us, so we wait only this long for a report that has it, and come back in a minute.
LOCK_SECONDS_MAX = 0.2

# Months in UTC, from the last one on. The last row is the first month that was not requested. A table of the schema
# public is named without it, as it is everywhere else.
_MONTHS = Statement("""
    SELECT parent, to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), month,
           extract(epoch FROM month - now())::float8 / 86400,
           to_regclass(parent || '_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL
    FROM (SELECT CASE nspname WHEN 'public' THEN relname ELSE nspname || '.' || relname END
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE relkind = 'p' AND NOT relispartition) AS big (parent),
         generate_series(-1, :months_ahead::integer + 1) AS ahead,
         LATERAL (SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead))
                         AT TIME ZONE 'UTC' AS month) AS first_moment
    ORDER BY month, parent
""")

_ENSURE_PARTITION = Statement("SELECT ensure_partition(:parent::text, :month::timestamptz)")


@dataclass(frozen=True, slots=True)
class Month:
    """One month of a big table: its name, when it begins, in how many days, and whether its partition exists.

    `parent` has its schema before it, as in `ledger.journals`, unless that is public.
    """

    parent: str
    name: str
    begins_at: datetime
    begins_in_days: float
    exists: bool

    @property
    def partition(self) -> str:
        """Return the name of the partition."""
        return f"{self.parent}_{self.name}"


def months(database: Database, months_ahead: int) -> list[Month]:
    """Return the months of every big table, from the last one to the one after `months_ahead`, the earliest first."""
    return [Month(*row) for row in database.run(_MONTHS, months_ahead=months_ahead)]


def ensure_partition(database: Database, month: Month) -> None:
    """Create the partition, in one transaction; do nothing if it exists. Raises LockTimeout within a second."""
    with database.transaction(LOCK_SECONDS_MAX) as transaction:
        transaction.run(_ENSURE_PARTITION, parent=month.parent, month=month.begins_at)
