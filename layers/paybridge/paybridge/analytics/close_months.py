"""Let go of what the figures of old months were made from, once their events have left the database.

The figures stay. Nothing can change them any more: no event of such a month is there to be read again, and what comes
late, after an operator had the month restored and changed, is counted apart and told.
"""

from __future__ import annotations

from collections.abc import Callable

from paybridge.analytics.ports import AnalyticsServices
from paybridge.analytics.store import closing
from paybridge.core.errors import LockTimeout

# Rows that are deleted in one transaction, of each table.
SLICE_ROWS = 10_000
LOCK_SECONDS_MAX = 0.3


def close_months(services: AnalyticsServices, has_time: Callable[[], bool]) -> int:
    """Close the months that are gone and delete their rows while there is time; return how many rows.

    Raises DatabaseUnavailable.
    """
    _close(services)
    deleted = 0
    for month in closing.find_full(services.database):
        while has_time():
            count = closing.delete_some(services.database, month, SLICE_ROWS)
            deleted += count
            if not count:
                closing.note_emptied(services.database, month)
                break
    return deleted


def _close(services: AnalyticsServices) -> None:
    for month in closing.find_open(services.database, services.left_months.find_gone()):
        try:
            with services.database.transaction(LOCK_SECONDS_MAX) as transaction:
                closing.close(transaction, month)
        except LockTimeout:
            # Another worker reads. The next run tries again.
            return
