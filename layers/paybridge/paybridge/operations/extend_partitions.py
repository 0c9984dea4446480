"""Create the monthly partitions before their month begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paybridge.core.isolation import run_each_item
from paybridge.database import partitions
from paybridge.database.database import Database
from paybridge.database.partitions import Month

# A quarter ahead: payments are accepted even if the jobs function fails for months.
MONTHS_AHEAD = 3


@dataclass(frozen=True, slots=True)
class ExtendedPartitions:
    """The partitions that were created, and in how many days the first month without one begins."""

    created: list[str]
    days_left: float


def extend_partitions(database: Database, on_failure: Callable[[Month, Exception], None]) -> ExtendedPartitions:
    """Create the missing partitions, each in its own transaction.

    A report that reads a table for an hour keeps its new partition out as long. So this waits only for a moment, and
    the next run tries again, long before the month begins. A partition that could not be created is passed to
    `on_failure`; the others are created. Raises DatabaseUnavailable.
    """
    *wanted, after = _by_month(database)
    missing = [month for month in wanted if not month.exists]
    failed: list[Month] = []

    def on_bad_month(month: Month, error: Exception) -> None:
        failed.append(month)
        on_failure(month, error)

    run_each_item(partial(partitions.ensure_partition, database), missing, on_bad_month)
    created = [month.partition for month in missing if month not in failed]
    first_without = min([*failed, after], key=lambda month: month.begins_at)
    return ExtendedPartitions(created, first_without.begins_in_days)


def _by_month(database: Database) -> list[Month]:
    """Return the months that shall have a partition, and as the last one the month after them."""
    found = partitions.months(database, MONTHS_AHEAD)
    end = found[-1]
    return [*(month for month in found if month.begins_at < end.begins_at), end]
