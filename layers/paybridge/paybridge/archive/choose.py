"""Choose the months to archive: old enough, and nothing in them is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID

from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import ArchivedMonth, ArchivedTable, MonthState, TableState, prefix_of
from paybridge.archive.locks import retry_lock
from paybridge.archive.ports import ArchiveServices
from paybridge.archive.store import months, open_work, partitions, tables
from paybridge.archive.store.partitions import Partition
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database

# A month that has open work is looked at again after this time.
LOOK_AGAIN = timedelta(days=1)
HELD = "other transactions hold its tables"


@dataclass(frozen=True, slots=True)
class Chosen:
    """The months whose archive begins, and those that stay with the reason."""

    begun: list[date]
    waiting: dict[date, str]


def choose_months(services: ArchiveServices, deadline: Deadline) -> Chosen:
    """Look at the months that are old enough, the oldest first, and begin those in which nothing is open.

    A month with open work is looked at once a day. Raises DatabaseUnavailable.
    """
    chosen = Chosen([], {})
    settings, now = services.settings, services.clock.now()
    if not settings.bucket or not settings.after_months:
        return chosen
    known = {month.month: month for month in months.all_months(services.database)}
    _gather_strays(services, known, deadline)
    for month, found in _by_month(services).items():
        seen = known.get(month)
        if deadline.is_over() or not (seen is None or _is_due(seen, now)):
            continue
        reason = _begin(services, month, found, now, deadline)
        if reason is None:
            chosen.begun.append(month)
        else:
            chosen.waiting[month] = reason
            months.put(services.database, month, MonthState.WAITING, reason, now)
    return chosen


def _is_due(month: ArchivedMonth, now: datetime) -> bool:
    """Tell whether to look at the month. One that was restored, and thawed, is kept as long as its order says."""
    is_kept = month.restored_until is not None and month.restored_until > now
    return month.state is MonthState.WAITING and not is_kept and now - month.checked_at >= LOOK_AGAIN


def _gather_strays(services: ArchiveServices, known: Mapping[date, ArchivedMonth], deadline: Deadline) -> None:
    """Give partitions to old months that have none, because none were created for a while.

    Rows of a month that has left already stay where they are: its next restore says that they are in the way.
    """
    before = partitions.first_open_month(services.database, services.settings.after_months)
    while not deadline.is_over():
        strays = partitions.find_strays(services.database, before)
        new = [each for each in strays if each.month not in known or known[each.month].state is MonthState.WAITING]
        for partition in new:
            retry_lock(partial(partitions.ensure, services.database, partition), deadline)
        if not new:
            return


def _by_month(services: ArchiveServices) -> dict[date, list[Partition]]:
    before = partitions.first_open_month(services.database, services.settings.after_months)
    by_month: dict[date, list[Partition]] = defaultdict(list)
    for partition in partitions.find_before(services.database, before):
        by_month[partition.month].append(partition)
    return by_month


def _begin(
    services: ArchiveServices, month: date, found: Sequence[Partition], now: datetime, deadline: Deadline
) -> str | None:
    """Begin to archive the month, or return why it stays."""
    database = services.database
    low, high = partitions.bounds(database, month)
    try:
        # Most months with open work are found here, before anything is locked.
        reason = _why_it_stays(services, low, high)
        if reason is None:
            for partition in found:
                retry_lock(partial(partitions.freeze, database, partition.name), deadline)
            # What was written before the freeze is seen now, and nothing is written after it.
            reason = _why_it_stays(services, low, high)
    except LockTimeout:
        reason = HELD
    if reason is None:
        _note(services, month, found, now)
    else:
        _unfreeze(database, found, deadline)
    return reason


def _why_it_stays(services: ArchiveServices, low: UUID, high: UUID) -> str | None:
    """Return what is open in the month, and what has not been read of it; None if nothing keeps it."""
    found = [
        open_work.describe_open_work(services.database, low, high),
        *(reader.describe_unread(services.database, low, high) for reader in services.readers),
    ]
    return ", ".join(each for each in found if each is not None) or None


def _unfreeze(database: Database, found: Sequence[Partition], deadline: Deadline) -> None:
    """Allow changes again of whatever this run froze, or one that was killed before it noted the month."""
    frozen = partitions.find_frozen(database)
    for partition in found:
        if partition.name in frozen:
            retry_lock(partial(partitions.unfreeze, database, partition.name), deadline)


def _note(services: ArchiveServices, month: date, found: Sequence[Partition], now: datetime) -> None:
    database = services.database
    version = partitions.schema_version(database)
    begun = [_table(services, partition, position, version) for position, partition in enumerate(found)]
    with database.transaction() as transaction:
        months.put(transaction, month, MonthState.ARCHIVING, None, now)
        for table in begun:
            tables.add(transaction, table, now)


def _table(services: ArchiveServices, partition: Partition, position: int, version: str) -> ArchivedTable:
    return ArchivedTable(
        month=partition.month,
        table=partition.table,
        state=TableState.EXPORTING,
        position=position,
        bucket=services.settings.bucket,
        prefix=prefix_of(partition.month, partition.table),
        schema_version=version,
        columns=partitions.columns_of(services.database, partition.name),
        key_columns=partitions.key_of(services.database, partition.name),
        cursor=None,
        row_count=0,
        byte_count=0,
        file_count=0,
        files_done=0,
        manifest_hash=None,
        detached_at=None,
    )
