"""The append-only log of everything the gateway did with money: the oracle for "never twice"."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]


class OperationLog:
    """JSON lines in one file, held in memory as well, found again by reference, day and idempotency key.

    One write(2) passes a record to the operating system before `append` returns, so it survives the death of this
    process by any signal. It is not synced to disk: loss of power is not among the simulated faults.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._by_reference: dict[str, list[Record]] = {}
        self._by_day: dict[str, list[Record]] = {}
        self._by_key: dict[str, Record] = {}
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._rebuild(path)

    def append(self, record: Record) -> None:
        """Write one record. Raises OSError when the disk refuses it, and then the record does not count."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        written = os.write(self._file, line)
        if written != len(line):
            os.ftruncate(self._file, os.fstat(self._file).st_size - written)
            raise OSError("only part of a record was written to the log")
        self._index(record)

    def all(self) -> Iterable[Record]:
        """Return every record, those of one reference in the order in which they were written."""
        return (record for records in self._by_reference.values() for record in records)

    def of_reference(self, reference: str) -> list[Record]:
        return self._by_reference.get(reference, [])

    def of_day(self, day: str) -> list[Record]:
        """Return every record created on that UTC day, written YYYY-MM-DD."""
        return self._by_day.get(day, [])

    def of_key(self, idempotency_key: str) -> Record | None:
        """Return the newest record under the key. A key that the gateway has forgotten may have several."""
        return self._by_key.get(idempotency_key)

    def close(self) -> None:
        os.close(self._file)

    def _rebuild(self, path: Path) -> None:
        content = path.read_bytes()
        complete, newline, _torn = content.rpartition(b"\n")
        # A record without its newline was never answered, so no client relies on it.
        os.ftruncate(self._file, len(complete) + len(newline))
        for line in complete.splitlines():
            self._index(orjson.loads(line))

    def _index(self, record: Record) -> None:
        self._by_reference.setdefault(record["reference"], []).append(record)
        self._by_day.setdefault(record["created_at"][:10], []).append(record)
        self._by_key[record["idempotency_key"]] = record
