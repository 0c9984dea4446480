"""Let the rows of a month change again: something about them came to light after the month was frozen."""

from __future__ import annotations

from datetime import date
from functools import partial

from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import ArchivedMonth, TableState
from paybridge.archive.locks import retry_lock
from paybridge.archive.ports import ArchiveServices
from paybridge.archive.store import months, open_work, partitions, tables
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database

# The next run tries again, so a report that holds the table leaves this run its time for other months.
UNFREEZE_TRIES_MAX = 5
# The partition of a table in one of these states is a part of its table.
_ATTACHED = frozenset({TableState.EXPORTING, TableState.VERIFIED, TableState.RESTORED})


def thaw_if_needed(services: ArchiveServices, month: ArchivedMonth, deadline: Deadline) -> str | None:
    """Let the month wait as if it had not been chosen, if something will change its rows; return what.

    It is archived again, from the start, once nothing is open. While a table is detached, nothing happens. Raises
    DatabaseUnavailable, and LockTimeout if another transaction holds a table all the time: the next run goes on.
    """
    database, now = services.database, services.clock.now()
    if any(table.state not in _ATTACHED for table in tables.of_month(database, month.month)):
        return None
    reason = open_work.describe_changes(database, *partitions.bounds(database, month.month))
    if reason is None:
        return None
    # First the files stop to count: rows change from now on.
    with database.transaction() as transaction:
        if months.thaw(transaction, month.month, month.state, reason, now):
            tables.forget(transaction, month.month)
    unfreeze_month(database, month.month, deadline)
    return reason


def unfreeze_month(database: Database, month: date, deadline: Deadline) -> None:
    """Allow changes of the month's rows, which nothing archives.

    Raises DatabaseUnavailable, and LockTimeout if another transaction holds a table, once all others are free.
    """
    held: LockTimeout | None = None
    for name in sorted(partitions.find_frozen(database)):
        if partitions.is_of_month(name, month):
            try:
                retry_lock(partial(partitions.unfreeze, database, name), deadline, UNFREEZE_TRIES_MAX)
            except LockTimeout as error:
                held = error
    if held is not None:
        raise held
