"""What operators order of the archive. The function `archive` does it within a minute."""

from __future__ import annotations

from datetime import date, timedelta

from paybridge.archive.domain import ArchivedMonth, MonthState
from paybridge.archive.store import months
from paybridge.core.clock import Clock
from paybridge.database.database import Database

# How long a restored month is kept, unless its order says so.
RESTORED_DAYS = 7
RESTORED_DAYS_MAX = 366


def order_run(database: Database) -> None:
    """Have every month that waits looked at again now, and not a day later. Raises DatabaseUnavailable."""
    months.look_again(database)


def order_restore(database: Database, clock: Clock, month: date, days: int = RESTORED_DAYS) -> ArchivedMonth | None:
    """Have the month restored, for so many days at least. Return it, None if it was never looked at.

    A month that is not archived stays as it is. Raises DatabaseUnavailable.
    """
    now = clock.now()
    until = now + timedelta(days=days)
    if not months.move(database, month, MonthState.ARCHIVED, MonthState.RESTORING, now, until):
        months.extend(database, month, until, now)
    return months.find(database, month)


def is_restorable(month: ArchivedMonth) -> bool:
    """Tell whether an order has an effect: the month is restored, or will be."""
    return month.state in {MonthState.RESTORING, MonthState.RESTORED}
