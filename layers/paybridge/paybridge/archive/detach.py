"""Take the partitions of a verified month out of their tables, and drop them days later."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from paybridge.archive.count import count_rows
from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import ArchivedTable, TableState
from paybridge.archive.export import verify_file, verify_manifest
from paybridge.archive.locks import retry_lock
from paybridge.archive.ports import ArchiveServices, EventRecords
from paybridge.archive.store import months, partitions, tables


def detach_tables(services: ArchiveServices, found: Sequence[ArchivedTable], deadline: Deadline) -> bool:
    """Detach each table that is verified or was restored, each in a transaction. Return whether all are detached.

    Raises DatabaseUnavailable, StoreUnavailable and ArchiveDamaged, and LockTimeout if another transaction holds a
    table all the time.
    """
    for table in found:
        if table.state not in {TableState.VERIFIED, TableState.RESTORED}:
            continue
        if deadline.is_over():
            return False
        if not _is_unchanged(services, table, deadline):
            return False
        retry_lock(partial(_detach, services, table), deadline)
    return True


def drop_tables(services: ArchiveServices, found: Sequence[ArchivedTable], deadline: Deadline) -> int:
    """Drop the tables that were detached long enough ago, once their files are verified again. Return how many.

    Raises as `detach_tables` does.
    """
    before = services.clock.now() - timedelta(days=services.settings.drop_after_days)
    dropped = 0
    # What others lead to by foreign keys comes last.
    for table in found:
        is_due = table.detached_at is not None and table.detached_at <= before
        if table.state is not TableState.DETACHED or not is_due:
            continue
        if not _verify_again(services, table, deadline):
            break
        retry_lock(partial(_drop, services, table), deadline)
        dropped += 1
    return dropped


def drop_records(services: ArchiveServices, month: date, deadline: Deadline) -> None:
    """Drop the records about the events of a month whose tables were all dropped, otherwise do nothing.

    Raises DatabaseUnavailable, and LockTimeout if another transaction holds a table all the time.
    """
    for records in services.records:
        if month in records.find_months(services.database) and month in months.find_dropped(services.database):
            retry_lock(partial(_drop_records, services, records, month), deadline)


def _drop_records(services: ArchiveServices, records: EventRecords, month: date) -> None:
    with services.database.transaction(partitions.LOCK_SECONDS_MAX) as transaction:
        records.drop_month(transaction, month)


def _is_unchanged(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    """Ensure that the table has as many rows as its files. Return False if the time is over before all are counted."""
    if not table.files_done:
        verify_manifest(services, table)
    return count_rows(services, table, deadline)


def _detach(services: ArchiveServices, table: ArchivedTable) -> None:
    with services.database.transaction(partitions.LOCK_SECONDS_MAX) as transaction:
        if tables.move(transaction, table, TableState.DETACHED, services.clock.now()):
            partitions.detach(transaction, table.table, table.partition)


def _verify_again(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    verify_manifest(services, table)
    for file in tables.files_of(services.database, table)[table.files_done :]:
        if deadline.is_over():
            return False
        verify_file(services, table, file)
        if not tables.note_done(services.database, table, file.number):
            return False
    return True


def _drop(services: ArchiveServices, table: ArchivedTable) -> None:
    with services.database.transaction(partitions.LOCK_SECONDS_MAX) as transaction:
        if tables.move(transaction, table, TableState.DROPPED, services.clock.now()):
            partitions.drop(transaction, table.partition)
