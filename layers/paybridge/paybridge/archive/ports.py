"""What the use cases of the archive need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from paybridge.archive.domain import Column
from paybridge.core.clock import Clock
from paybridge.core.errors import PaybridgeError, Unavailable
from paybridge.database.database import Database, Transaction


class StoreUnavailable(Unavailable):
    """The object store cannot be reached, or refuses a call."""


class ArchiveDamaged(PaybridgeError):
    """What is in the object store is not what was written. Nothing is detached or dropped then."""


class ObjectStore(Protocol):
    """Where files are kept for years."""

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Store an object and have the store check its SHA-256. Raises StoreUnavailable."""
        ...

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object. Raises StoreUnavailable, and ArchiveDamaged if there is no such object."""
        ...


class RowLines(NamedTuple):
    """Rows of a table as lines of CSV with texts in CSV_QUOTE, and how many they are.

    After the columns follows a value that names, by their numbers, those that hold an empty text, because CSV has no
    way to tell it from none.
    """

    content: bytes
    row_count: int


class RowFiles(Protocol):
    """The format of the files."""

    def table_of(self, rows: bytes, columns: tuple[Column, ...]) -> Any:
        """Return rows, as in RowLines, as a table in memory."""
        ...

    def written(self, table: Any) -> bytes:
        """Return the table as a file."""
        ...

    def read(self, content: bytes) -> Any:
        """Return the table in a file. Raises ArchiveDamaged if it cannot be read."""
        ...

    def count(self, table: Any) -> int:
        """Return how many rows a table has."""
        ...

    def keys(self, table: Any, columns: tuple[str, ...]) -> bytes:
        """Return the values of these columns as CSV, a line for each row."""
        ...

    def key_at(self, table: Any, columns: tuple[str, ...], row: int) -> tuple[str, ...]:
        """Return the values of these columns in a row, as text; -1 is the last row."""
        ...

    def json_chunks(self, table: Any, rows_max: int) -> list[str]:
        """Return the rows as arrays of JSON, of up to `rows_max` rows each."""
        ...


class LogReader(Protocol):
    """What reads events and webhook deliveries some time after they are written, and must not lose any."""

    def describe_unread(self, database: Database, low: UUID, high: UUID) -> str | None:
        """Return what it has not read of the month with ids from `low` to before `high`, None if it has read all."""
        ...


class EventRecords(Protocol):
    """Records about events, by the month, that are worth nothing without the events. They are dropped, not archived."""

    def find_months(self, database: Database) -> list[date]:
        """Return the months of which there are records, oldest first."""
        ...

    def drop_month(self, transaction: Transaction, month: date) -> None:
        """Drop the records of a month. Raises LockTimeout."""
        ...


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """When a month is archived and dropped, and where.

    Without a bucket, or with 0 months, no new month is chosen. What has begun goes on.
    """

    bucket: str
    after_months: int
    drop_after_days: float


@dataclass(frozen=True, slots=True)
class ArchiveServices:
    """What the use cases work with."""

    database: Database
    clock: Clock
    objects: ObjectStore
    files: RowFiles
    settings: ArchiveSettings
    readers: Sequence[LogReader]
    records: Sequence[EventRecords] = ()
