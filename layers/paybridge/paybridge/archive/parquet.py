"""Parquet files by arro3, which only the function `archive` has: import it late."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from paybridge.archive.domain import CSV_QUOTE, FILE_ROWS_MAX, Column
from paybridge.archive.ports import ArchiveDamaged

# The lowest level: the time of the function is dearer than room in S3.
COMPRESSION = "zstd(1)"
_MARKS = "?"


class ParquetFiles:
    """A RowFiles. One row group a file, of at most FILE_ROWS_MAX rows."""

    def table_of(self, rows: bytes, columns: tuple[Column, ...]) -> Any:
        """Return the rows as an Arrow table. Values without a type of their own are text."""
        from arro3.core import Field, Schema
        from arro3.io import read_csv

        types = _types()
        fields = [Field(column.name, types.get(column.type, types["text"])) for column in columns]
        schema = Schema([*fields, Field(_MARKS, types["text"])])
        table = read_csv(rows, schema, has_header=False, batch_size=FILE_ROWS_MAX, quote=CSV_QUOTE).read_all()
        marks = table.column(_MARKS).combine_chunks()
        table = table.drop_columns([_MARKS])
        return table if marks.null_count == len(marks) else _with_empty_texts(table, marks)

    def written(self, table: Any) -> bytes:
        """Return the table as a Parquet file."""
        from arro3.io import write_parquet

        file = BytesIO()
        write_parquet(table, file, compression=COMPRESSION, max_row_group_size=FILE_ROWS_MAX)
        return file.getvalue()

    def read(self, content: bytes) -> Any:
        """Return the table in a Parquet file."""
        from arro3.io import read_parquet

        try:
            return read_parquet(content, batch_size=FILE_ROWS_MAX).read_all()
        except Exception as error:  # noqa: BLE001 - arro3 has no class for what Rust found
            raise ArchiveDamaged(f"A file is not a Parquet file: {error}") from None

    def count(self, table: Any) -> int:
        """Return how many rows a table has."""
        rows: int = table.num_rows
        return rows

    def keys(self, table: Any, columns: tuple[str, ...]) -> bytes:
        """Return the values of these columns as CSV, a line for each row."""
        from arro3.io import write_csv

        file = BytesIO()
        write_csv(table.select(list(columns)), file, header=False)
        return file.getvalue()

    def key_at(self, table: Any, columns: tuple[str, ...], row: int) -> tuple[str, ...]:
        """Return the values of these columns in a row, as text; -1 is the last row."""
        place = row % table.num_rows
        return tuple(str(table.column(name).slice(place, 1).to_pylist()[0]) for name in columns)

    def json_chunks(self, table: Any, rows_max: int) -> list[str]:
        """Return the rows as arrays of JSON."""
        from arro3.io import write_json

        chunks = []
        for start in range(0, table.num_rows, rows_max):
            file = BytesIO()
            write_json(table.slice(start, min(rows_max, table.num_rows - start)), file)
            chunks.append(file.getvalue().decode())
        return chunks


def _types() -> dict[str, Any]:
    from arro3.core import DataType

    return {
        "boolean": DataType.bool(),
        "smallint": DataType.int16(),
        "integer": DataType.int32(),
        "bigint": DataType.int64(),
        "timestamp with time zone": DataType.timestamp("us", tz="UTC"),
        "text": DataType.string(),
    }


def _with_empty_texts(table: Any, marks: Any) -> Any:
    """Return the table with an empty text wherever the marks name a column. The reader of CSV takes it for none."""
    from arro3.core import Array, ChunkedArray, DataType

    empty = Array([""], type=DataType.string())
    for number, rows in _rows_by_column(marks):
        column = table.column(number).combine_chunks()
        places = array("i", range(len(column)))
        for row in rows:
            # The empty text is put behind the last value, and taken from there.
            places[row] = len(column)
        filled = ChunkedArray([column, empty]).combine_chunks().take(Array.from_buffer(places))
        table = table.set_column(number, table.field(number), ChunkedArray([filled]))
    return table


def _rows_by_column(marks: Any) -> Iterator[tuple[int, list[int]]]:
    rows: defaultdict[int, list[int]] = defaultdict(list)
    for row, mark in enumerate(marks.to_pylist()):
        for number in (mark or "").split():
            rows[int(number)].append(row)
    yield from rows.items()
