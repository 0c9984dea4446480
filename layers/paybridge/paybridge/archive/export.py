"""Export the rows of a table to files, each read back from the store and compared before it counts."""

from __future__ import annotations

import hashlib
from typing import Any

from paybridge.archive.deadline import Deadline
from paybridge.archive.domain import (
    ArchivedFile,
    ArchivedTable,
    TableState,
    file_name,
    keys_hash,
    manifest_of,
    rows_of_next_file,
)
from paybridge.archive.ports import ArchiveDamaged, ArchiveServices
from paybridge.archive.store import owners, rows, tables

MANIFEST = "manifest.json"


def export_table(services: ArchiveServices, table: ArchivedTable, deadline: Deadline) -> bool:
    """Export the table from where it stands. Return whether all of it is exported and verified.

    A file that is killed leaves an object that no row names, and is exported again. Raises DatabaseUnavailable,
    StoreUnavailable and ArchiveDamaged.
    """
    reading, noting = rows.reading(table), owners.statement_of(table)
    last: ArchivedFile | None = None
    last_bytes = 0
    while not deadline.is_over():
        lines = rows.read(services.database, reading, table.cursor, rows_of_next_file(last, last_bytes))
        if not lines:
            return _finish(services, table)
        content = "\n".join(lines).encode()
        last_bytes = len(content)
        lines.clear()
        last = _store(services, table, content)
        with services.database.transaction() as transaction:
            if not tables.add_file(transaction, table, last):
                return False
            if noting is not None:
                owners.note(transaction, noting, table.month, last.first_key, last.last_key)
        table = table.after_file(last)
    return False


def manifest_key(table: ArchivedTable) -> str:
    """Return where the manifest of a table is."""
    return f"{table.prefix}/{MANIFEST}"


def verify_manifest(services: ArchiveServices, table: ArchivedTable) -> None:
    """Compare the manifest in the store with what is known of the table. Raises ArchiveDamaged."""
    content = services.objects.get(table.bucket, manifest_key(table))
    if hashlib.sha256(content).hexdigest() != table.manifest_hash:
        raise ArchiveDamaged(f"The manifest of {table.prefix} is not the one that was written.")


def verify_file(services: ArchiveServices, table: ArchivedTable, file: ArchivedFile) -> Any:
    """Return the rows of a file, once bytes, number and keys are those that were written. Raises ArchiveDamaged."""
    content = services.objects.get(table.bucket, f"{table.prefix}/{file.name}")
    if hashlib.sha256(content).hexdigest() != file.file_hash:
        raise ArchiveDamaged(f"The file {table.prefix}/{file.name} is not the one that was written.")
    stored = services.files.read(content)
    keys = services.files.keys(stored, table.key_columns)
    if len(keys) != file.row_count or keys_hash(keys) != file.keys_hash:
        raise ArchiveDamaged(f"The file {table.prefix}/{file.name} has other rows than the table had.")
    return stored


def _store(services: ArchiveServices, table: ArchivedTable, lines: bytes) -> ArchivedFile:
    """Store rows of the database as a file, read it back, and compare every value."""
    read = services.files.table_of(lines, table.columns)
    content = services.files.written(read)
    keys = services.files.keys(read, table.key_columns)
    file_hash = hashlib.sha256(content).hexdigest()
    number = table.file_count + 1
    file = ArchivedFile(
        number=number,
        name=file_name(number, file_hash),
        row_count=len(keys),
        byte_count=len(content),
        file_hash=file_hash,
        keys_hash=keys_hash(keys),
        first_key=keys[0],
        last_key=keys[-1],
    )
    services.objects.put(table.bucket, f"{table.prefix}/{file.name}", content)
    if verify_file(services, table, file) != read:
        raise ArchiveDamaged(f"The file {table.prefix}/{file.name} has other values than the table has.")
    return file


def _finish(services: ArchiveServices, table: ArchivedTable) -> bool:
    """Write the manifest, read it back, and note that the table is verified."""
    files = tables.files_of(services.database, table)
    found = rows.count(services.database, table.partition)
    if found != table.row_count or sum(file.row_count for file in files) != found:
        raise ArchiveDamaged(f"{table.partition} has {found} rows, and its files {table.row_count}.")
    manifest = manifest_of(table, files)
    manifest_hash = hashlib.sha256(manifest).hexdigest()
    services.objects.put(table.bucket, manifest_key(table), manifest)
    if services.objects.get(table.bucket, manifest_key(table)) != manifest:
        raise ArchiveDamaged(f"The manifest of {table.prefix} is not the one that was written.")
    return tables.move(services.database, table, TableState.VERIFIED, services.clock.now(), manifest_hash)
