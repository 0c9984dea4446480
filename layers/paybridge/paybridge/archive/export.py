"""Export the rows of a table to files, each read back from the store and compared before it counts.

    read      the rows of the next file from the database     thread 1
    write     them as Parquet                                 thread 2
    store     the file, read it back, and compare             thread 3
    note      the file and the position                       one transaction

The steps work on different files at the same time. The files are noted one after the other.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple

from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import (
    ArchivedFile,
    ArchivedTable,
    TableState,
    file_name,
    hash_of,
    manifest_of,
    rows_of_next_file,
)
from paybridge.archive.ports import ArchiveDamaged, ArchiveServices, RowLines
from paybridge.archive.read_ahead import read_ahead
from paybridge.archive.store import owners, rows, tables

MANIFEST = "manifest.json"


@dataclass
class ExportProgress:
    """How far a table was read: whether nothing is left."""

    is_read: bool = False


class WrittenFile(NamedTuple):
    """A file that is not stored yet: what is known of it, its content, and the rows as they were read."""

    file: ArchivedFile
    content: bytes
    rows: Any


def export_table(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    """Export the table from where it stands. Return whether all of it is exported and verified.

    What is killed leaves objects that no row names, and is exported again. Raises DatabaseUnavailable,
    StoreUnavailable and ArchiveDamaged.
    """
    noting, progress = owners.statement_of(table), ExportProgress()
    read = _read(services, table, deadline, progress)
    stored = _store(services, table, _write(services, table, read))
    with closing(read_ahead(stored)) as files:
        for file in files:
            with services.database.transaction() as transaction:
                if not tables.add_file(transaction, table, file):
                    return False
                if noting is not None:
                    owners.note(transaction, noting, table.month, file.first_key, file.last_key)
            table = table.after_file(file)
    return progress.is_read and _finish(services, table)


def manifest_key(table: ArchivedTable) -> str:
    """Return where the manifest of a table is."""
    return f"{table.prefix}/{MANIFEST}"


def verify_manifest(services: ArchiveServices, table: ArchivedTable) -> None:
    """Compare the manifest in the store with what is known of the table. Raises ArchiveDamaged."""
    content = services.objects.get(table.bucket, manifest_key(table))
    if hash_of(content) != table.manifest_hash:
        raise ArchiveDamaged(f"The manifest of {table.prefix} is not the one that was written.")


def verify_file(services: ArchiveServices, table: ArchivedTable, file: ArchivedFile) -> Any:
    """Return the rows of a file, once bytes, number and keys are those that were written. Raises ArchiveDamaged."""
    content = services.objects.get(table.bucket, f"{table.prefix}/{file.name}")
    if hash_of(content) != file.file_hash:
        raise ArchiveDamaged(f"The file {table.prefix}/{file.name} is not the one that was written.")
    stored = services.files.read(content)
    keys = services.files.keys(stored, table.key_columns)
    if services.files.count(stored) != file.row_count or hash_of(keys) != file.keys_hash:
        raise ArchiveDamaged(f"The file {table.prefix}/{file.name} has other rows than the table had.")
    return stored


def _read(
    services: ArchiveServices, table: ArchivedTable, deadline: Deadline, progress: ExportProgress
) -> Generator[RowLines, None, None]:
    """Read the rows file by file, over a separate connection."""
    reader = rows.RowReader(table)
    after: rows.Key | None = table.cursor
    read = RowLines(b"", 0)
    with closing(services.database.another()) as database:
        while not deadline.is_over():
            until = reader.find_end(database, after, rows_of_next_file(read.row_count, len(read.content)))
            read = reader.read(database, after, until)
            if read.row_count:
                yield read
            if until is None:
                progress.is_read = True
                return
            after = until


def _write(
    services: ArchiveServices, table: ArchivedTable, read: Generator[RowLines, None, None]
) -> Generator[WrittenFile, None, None]:
    with closing(read_ahead(read)) as ahead:
        for number, lines in enumerate(ahead, table.file_count + 1):
            yield _written(services, table, number, lines)


def _written(services: ArchiveServices, table: ArchivedTable, number: int, lines: RowLines) -> WrittenFile:
    files = services.files
    found = files.table_of(lines.content, table.columns)
    if files.count(found) != lines.row_count:
        raise ArchiveDamaged(f"{table.partition} has {lines.row_count} rows where {files.count(found)} were read.")
    content = files.written(found)
    file_hash = hash_of(content)
    file = ArchivedFile(
        number=number,
        name=file_name(number, file_hash),
        row_count=lines.row_count,
        byte_count=len(content),
        file_hash=file_hash,
        keys_hash=hash_of(files.keys(found, table.key_columns)),
        first_key=files.key_at(found, table.key_columns, 0),
        last_key=files.key_at(found, table.key_columns, -1),
    )
    return WrittenFile(file, content, found)


def _store(
    services: ArchiveServices, table: ArchivedTable, written: Generator[WrittenFile, None, None]
) -> Generator[ArchivedFile, None, None]:
    """Store each file, read it back, and compare every value with the rows that came from the database."""
    with closing(read_ahead(written)) as ahead:
        for file, content, read in ahead:
            services.objects.put(table.bucket, f"{table.prefix}/{file.name}", content)
            if verify_file(services, table, file) != read:
                raise ArchiveDamaged(f"The file {table.prefix}/{file.name} has other values than the table has.")
            yield file


def _finish(services: ArchiveServices, table: ArchivedTable) -> bool:
    """Write the manifest, read it back, and note that the table is verified."""
    files = tables.files_of(services.database, table)
    assert sum(file.row_count for file in files) == table.row_count
    manifest = manifest_of(table, files)
    services.objects.put(table.bucket, manifest_key(table), manifest)
    if services.objects.get(table.bucket, manifest_key(table)) != manifest:
        raise ArchiveDamaged(f"The manifest of {table.prefix} is not the one that was written.")
    return tables.move(services.database, table, TableState.VERIFIED, services.clock.now(), hash_of(manifest))
