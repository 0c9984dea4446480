"""Parquet files by arro3, which only the function `archive` has: import it late."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from paybridge.archive.domain import FILE_ROWS_MAX, Column
from paybridge.archive.ports import ArchiveDamaged

COMPRESSION = "zstd(3)"


class ParquetFiles:
    """A RowFiles. One row group a file, of at most FILE_ROWS_MAX rows."""

    def table_of(self, rows: bytes, columns: tuple[Column, ...]) -> Any:
        """Return the rows as an Arrow table. Values without a type of their own are text."""
        from arro3.core import Field, Schema
        from arro3.io import read_json

        types = _types()
        schema = Schema([Field(column.name, types.get(column.type, types["text"])) for column in columns])
        return read_json(rows, schema, batch_size=FILE_ROWS_MAX).read_all()

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
            raise ArchiveDamaged(f"A file is no Parquet: {error}") from None

    def keys(self, table: Any, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return the values of these columns as text."""
        values = [table.column(name).combine_chunks().to_pylist() for name in columns]
        return list(zip(*(map(str, column) for column in values), strict=True))

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
