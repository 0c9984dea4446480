"""Bring an archived month back for reading and replay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from paybridge.archive.count import ensure_no_others, ensure_rows
from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import ArchivedTable, TableState
from paybridge.archive.export import verify_file, verify_manifest
from paybridge.archive.locks import retry_lock
from paybridge.archive.ports import ArchiveServices
from paybridge.archive.store import partitions, rows, tables

# One statement writes this many rows.
WRITTEN_ROWS = 5_000


def restore_tables(services: ArchiveServices, found: Sequence[ArchivedTable], deadline: Deadline) -> bool:
    """Load what was dropped, and attach every table. Return whether all are attached.

    Raises DatabaseUnavailable, StoreUnavailable and ArchiveDamaged, and LockTimeout if another transaction holds a
    table all the time.
    """
    # What others lead to by foreign keys comes first.
    for table in reversed(found):
        if table.state is TableState.RESTORED:
            continue
        if deadline.is_over():
            return False
        if table.state is TableState.DROPPED:
            table = _begin_loading(services, table)
        if table.state is TableState.LOADING and not _load(services, table, deadline):
            return False
        _attach(services, table, deadline)
    return True


def _begin_loading(services: ArchiveServices, table: ArchivedTable) -> ArchivedTable:
    verify_manifest(services, table)
    with services.database.transaction(partitions.LOCK_SECONDS_MAX) as transaction:
        tables.move(transaction, table, TableState.LOADING, services.clock.now())
        partitions.prepare(transaction, table.table, table.partition)
    return next(each for each in tables.of_month(services.database, table.month) if each.table == table.table)


def _load(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    """Write the files that are not written yet, each in one transaction, which counts its rows."""
    writing, reader = rows.writing(table), rows.RowReader(table)
    files = tables.files_of(services.database, table)
    for number, file in enumerate(files):
        if number < table.files_done:
            continue
        if deadline.is_over():
            return False
        chunks = services.files.json_chunks(verify_file(services, table, file), WRITTEN_ROWS)
        with services.database.transaction() as transaction:
            if not tables.note_done(transaction, table, file.number):
                return False
            for chunk in chunks:
                rows.write(transaction, writing, chunk)
            ensure_rows(transaction, reader, table, files, number)
    ensure_no_others(services.database, reader, table, files)
    return True


def _attach(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> None:
    database = services.database
    low, high = partitions.bounds(database, table.month)
    retry_lock(partial(partitions.fit, database, table.table, table.partition, low, high), deadline)
    partitions.analyze(database, [table.partition])

    def attach() -> None:
        with database.transaction(partitions.LOCK_SECONDS_MAX) as transaction:
            if tables.move(transaction, table, TableState.RESTORED, services.clock.now()):
                partitions.attach(transaction, table.table, table.partition, low, high)

    retry_lock(attach, deadline)
