"""Choose the months to archive: old enough, and nothing in them is open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
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
from paybridge.archive.thaw import unfreeze_month
from paybridge.core.errors import LockTimeout

# A month that has open work is looked at again after this time.
LOOK_AGAIN = timedelta(days=1)
JUST_READ = "a replay, a reconciliation or a rebuild has just begun"
HELD = "other transactions hold its tables"
# A month with this reason may be frozen in part. It is there before the first partition is, so that a run that is
# killed in between leaves the month to the next one, which frees it.
LOOKED_AT = "it is being looked at"


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
    due = _DueMonths(known, now)
    for month in _gather_strays(services, due, deadline):
        _note_waiting(services, chosen, month, HELD, now)
    for month, found in _by_month(services).items():
        if deadline.is_over() or month in chosen.waiting or month not in due:
            continue
        reason = _begin(services, month, found, now, deadline)
        if reason is None:
            chosen.begun.append(month)
        else:
            _note_waiting(services, chosen, month, reason, now)
    return chosen


@dataclass(frozen=True, slots=True)
class _DueMonths:
    """The months to look at now: those never looked at, and those that have waited for long enough.

    One that was restored, and thawed, is kept as long as its order says.
    """

    known: Mapping[date, ArchivedMonth]
    now: datetime

    def __contains__(self, month: date) -> bool:
        seen = self.known.get(month)
        if seen is None or seen.state is not MonthState.WAITING:
            return seen is None
        is_kept = seen.restored_until is not None and seen.restored_until > self.now
        was_cut_short = seen.reason == LOOKED_AT
        return not is_kept and (was_cut_short or self.now - seen.checked_at >= LOOK_AGAIN)


def _note_waiting(services: ArchiveServices, chosen: Chosen, month: date, reason: str, now: datetime) -> None:
    chosen.waiting[month] = reason
    # Without the reason the next run looks at the month again.
    with suppress(LockTimeout):
        months.put(services.database, month, MonthState.WAITING, reason, now)


def _gather_strays(services: ArchiveServices, due: _DueMonths, deadline: Deadline) -> set[date]:
    """Give partitions to old months that have none, because none were created for a while.

    Return the months that did not get one, because another transaction holds the table. Rows of a month that has left
    already stay where they are: its next restore says that they are in the way.
    """
    before = partitions.first_open_month(services.database, services.settings.after_months)
    held: set[date] = set()
    passed: dict[str, date] = {}
    while not deadline.is_over():
        strays = partitions.find_strays(services.database, before, passed)
        if not strays:
            break
        for stray in strays:
            passed[stray.table] = stray.month
            if stray.month in held or stray.month not in due:
                continue
            try:
                retry_lock(partial(partitions.ensure, services.database, stray), deadline)
            except LockTimeout:
                held.add(stray.month)
    return held


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
    low, high = partitions.bounds(services.database, month)
    # Most months with open work are found here, before anything is locked.
    reason = _why_it_stays(services, low, high)
    if reason is not None:
        return reason
    try:
        months.put(services.database, month, MonthState.WAITING, LOOKED_AT, now)
        for partition in found:
            retry_lock(partial(partitions.freeze, services.database, partition.name), deadline)
        # What was written before the freeze is seen now, and nothing is written after it.
        reason = _why_it_stays(services, low, high)
        if reason is None:
            reason = _note(services, month, found, now)
        if reason is None:
            return None
    except LockTimeout:
        reason = HELD
    # What is held for longer is freed by the next run.
    with suppress(LockTimeout):
        unfreeze_month(services.database, month, deadline)
    return reason


def _why_it_stays(services: ArchiveServices, low: UUID, high: UUID) -> str | None:
    """Return what is open in the month, and what has not been read of it; None if nothing keeps it."""
    found = [
        open_work.describe_open_work(services.database, low, high),
        *(reader.describe_unread(services.database, low, high) for reader in services.readers),
    ]
    return ", ".join(each for each in found if each is not None) or None


def _note(services: ArchiveServices, month: date, found: Sequence[Partition], now: datetime) -> str | None:
    """Note that the archive of the month begins, or return why it stays after all."""
    database = services.database
    version = partitions.schema_version(database)
    begun = [_table(services, partition, position, version) for position, partition in enumerate(found)]
    with database.transaction() as transaction:
        # What was about to be stored when the month was looked at is there now, and what comes later sees the month.
        months.lock_choice(transaction)
        if open_work.is_read(transaction, *partitions.bounds(transaction, month)):
            return JUST_READ
        months.put(transaction, month, MonthState.ARCHIVING, None, now)
        for table in begun:
            tables.add(transaction, table, now)
    return None


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
