"""Compare how many rows a table has with how many its files have, a slice at a time, so that no month is too large."""

from __future__ import annotations

from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import ArchivedFile, ArchivedTable
from paybridge.archive.ports import ArchiveDamaged, ArchiveServices
from paybridge.archive.store import rows, tables
from paybridge.database.database import Database, Transaction


def count_rows(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    """Count the rows of each file in the table, from where an earlier run stopped. Return whether all are counted.

    The table must be frozen, so that what was counted stays as it is. Raises DatabaseUnavailable, and ArchiveDamaged
    if a file has more or fewer rows than the table has between its keys, or the table has others.
    """
    database, reader = services.database, rows.RowReader(table)
    files = tables.files_of(database, table)
    for number in range(table.files_done, len(files)):
        if deadline.is_over():
            return False
        ensure_rows(database, reader, table, files, number)
        if not tables.note_done(database, table, files[number].number):
            return False
    ensure_no_others(database, reader, table, files)
    return True


def ensure_rows(
    database: Database | Transaction,
    reader: rows.RowReader,
    table: ArchivedTable,
    files: list[ArchivedFile],
    number: int,
) -> None:
    """Ensure that the table has as many rows after the file before this one as this one. Raises ArchiveDamaged."""
    file = files[number]
    after = files[number - 1].last_key if number else None
    found = reader.count(database, after, file.last_key, file.row_count + 1)
    if found != file.row_count:
        what = "more" if found > file.row_count else found
        raise ArchiveDamaged(f"{table.partition} has {what} rows where its file {file.name} has {file.row_count}.")


def ensure_no_others(
    database: Database | Transaction, reader: rows.RowReader, table: ArchivedTable, files: list[ArchivedFile]
) -> None:
    """Ensure that the table has no row after those of its last file. Raises ArchiveDamaged."""
    if reader.count(database, files[-1].last_key if files else None, None, 1):
        raise ArchiveDamaged(f"{table.partition} has rows after those of its files.")
