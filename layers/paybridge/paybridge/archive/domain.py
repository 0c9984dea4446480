"""What the archive knows: months, the steps of a table, and what a manifest says."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.times import format_time, made_at

# Of the files and their manifest. A reader of another format says so instead of guessing.
FORMAT = 1
FILE_ROWS_MAX = 50_000
# Of its rows as CSV. Several files are in memory at a time.
FILE_BYTES_MAX = 16 * 1024 * 1024
# The first file of a table is small, because nothing is known yet about the size of its rows.
FIRST_FILE_ROWS = 5_000
PREFIX = "payments"
# Around texts in the CSV that PostgreSQL writes. JSON cannot have it as it is, and hardly any other text does, so that
# nearly every text is copied and not rewritten.
CSV_QUOTE = "\x01"

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_PARTITION = re.compile(r"_(\d{4})_(0[1-9]|1[0-2])$")


class MonthState(StrEnum):
    """Where a month is."""

    WAITING = "waiting"
    ARCHIVING = "archiving"
    ARCHIVED = "archived"
    RESTORING = "restoring"
    RESTORED = "restored"


class TableState(StrEnum):
    """Where one table of a month is."""

    EXPORTING = "exporting"
    VERIFIED = "verified"
    DETACHED = "detached"
    DROPPED = "dropped"
    LOADING = "loading"
    RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class ArchivedMonth:
    """One month that was looked at."""

    month: date
    state: MonthState
    reason: str | None
    checked_at: datetime
    restored_until: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an archived table, with its type as PostgreSQL writes it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class ArchivedTable:
    """One table of a month: where its rows are, and how far the present step has come."""

    month: date
    table: str
    state: TableState
    position: int
    bucket: str
    prefix: str
    schema_version: str
    columns: tuple[Column, ...]
    key_columns: tuple[str, ...]
    cursor: tuple[str, ...] | None
    row_count: int
    byte_count: int
    file_count: int
    files_done: int
    manifest_hash: str | None
    detached_at: datetime | None

    @property
    def partition(self) -> str:
        """Return the partition, with its schema."""
        return f"{self.table}_{self.month:%Y_%m}"

    def after_file(self, file: ArchivedFile) -> ArchivedTable:
        """Return the table once this file is stored."""
        return replace(
            self,
            cursor=file.last_key,
            row_count=self.row_count + file.row_count,
            byte_count=self.byte_count + file.byte_count,
            file_count=self.file_count + 1,
        )


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One Parquet file of a table: its name below the prefix, its size and its hashes."""

    number: int
    name: str
    row_count: int
    byte_count: int
    file_hash: str
    keys_hash: str
    first_key: tuple[str, ...]
    last_key: tuple[str, ...]


def parse_month(text: str) -> date:
    """Return the first day of a month such as 2025-01. Raises ValueError."""
    match = _MONTH.fullmatch(text)
    if match is None or match[1] < "1970":
        raise ValueError(text)
    return date(int(match[1]), int(match[2]), 1)


def month_of(id_: UUID) -> date:
    """Return the month of a UUIDv7, by the time in it. What has no such time is of the first month."""
    moment = made_at(id_)
    return date(moment.year, moment.month, 1)


def month_of_partition(name: str) -> date | None:
    """Return the month of a partition by its name, None if the name has none."""
    match = _PARTITION.search(name)
    return None if match is None else date(int(match[1]), int(match[2]), 1)


def month_text(month: date) -> str:
    """Return the month as 2025-01."""
    return f"{month:%Y-%m}"


def prefix_of(month: date, table: str) -> str:
    """Return where the files of a table and a month are in the bucket."""
    return f"{PREFIX}/{month_text(month)}/{table}"


def file_name(number: int, file_hash: str) -> str:
    """Return the name of a file. Its content is part of it, so no process ever overwrites the file of another."""
    return f"part-{number:05}-{file_hash[:16]}.parquet"


def hash_of(content: bytes) -> str:
    """Return the SHA-256 of a file, or of primary keys as CSV: a line each, columns parted by a comma."""
    return hashlib.sha256(content).hexdigest()


def manifest_of(table: ArchivedTable, files: Sequence[ArchivedFile]) -> bytes:
    """Return the manifest: what is in the files of a table and a month, and how to check it."""
    members: dict[str, Any] = {
        "format": FORMAT,
        "table": table.table,
        "month": month_text(table.month),
        "schema_version": table.schema_version,
        "columns": [[column.name, column.type] for column in table.columns],
        "key": list(table.key_columns),
        "rows": table.row_count,
        "min_key": list(files[0].first_key) if files else None,
        "max_key": list(files[-1].last_key) if files else None,
        # Of the hashes of the files' keys, so that a month of any size needs no memory.
        "keys_sha256": hash_of("".join(f"{file.keys_hash}\n" for file in files).encode()),
        "files": [
            {
                "name": file.name,
                "rows": file.row_count,
                "bytes": file.byte_count,
                "sha256": file.file_hash,
                "keys_sha256": file.keys_hash,
            }
            for file in files
        ],
    }
    return json.dumps(members, indent=1).encode()


def rows_of_next_file(rows: int, byte_count: int) -> int:
    """Return how many rows to read, given how many were read before and the bytes that they were as CSV."""
    if not rows:
        return FIRST_FILE_ROWS
    return max(1, min(FILE_ROWS_MAX, FILE_BYTES_MAX * rows // byte_count))


def month_view(month: ArchivedMonth, tables: Sequence[ArchivedTable]) -> dict[str, Any]:
    """Return the month as operators see it."""
    return {
        "month": month_text(month.month),
        "state": month.state,
        "reason": month.reason,
        "rows": sum(table.row_count for table in tables),
        "bytes": sum(table.byte_count for table in tables),
        "restored_until": format_time(month.restored_until) if month.restored_until else None,
        "checked_at": format_time(month.checked_at),
        "created_at": format_time(month.created_at),
        "updated_at": format_time(month.updated_at),
        "tables": [
            {
                "table": table.table,
                "state": table.state,
                "rows": table.row_count,
                "bytes": table.byte_count,
                "files": table.file_count,
                "files_done": table.files_done,
                "location": f"s3://{table.bucket}/{table.prefix}/",
                "manifest_sha256": table.manifest_hash,
                "detached_at": format_time(table.detached_at) if table.detached_at else None,
            }
            for table in tables
        ],
    }
