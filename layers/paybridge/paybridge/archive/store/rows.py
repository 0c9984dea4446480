"""The rows of a partition as JSON, in the order of their primary key, and back.

Numbers, booleans and times have a type of their own in Parquet. Every other value is PostgreSQL's text of it, which
comes back exactly as it was.
"""

from __future__ import annotations

from collections.abc import Sequence

from paybridge.archive.domain import ArchivedTable, Column
from paybridge.database.database import Database, Statement, Transaction

TYPED = frozenset({"boolean", "smallint", "integer", "bigint", "timestamp with time zone"})


def reading(table: ArchivedTable) -> tuple[Statement, Statement]:
    """Return the statements that read the first rows of the table, and those after a key."""
    keys = ", ".join(table.key_columns)
    shown = ", ".join(map(_shown, table.columns))
    types = {column.name: column.type for column in table.columns}
    after = ", ".join(f":key{number}::{types[name]}" for number, name in enumerate(table.key_columns))
    source = f"SELECT {shown} FROM {table.partition}"
    tail = f"ORDER BY {keys} LIMIT :limit::integer"
    first, following = f"{source} {tail}", f"{source} WHERE ({keys}) > ({after}) {tail}"
    return tuple(Statement(f"SELECT row_to_json(r)::text FROM ({sql}) AS r") for sql in (first, following))  # type: ignore[return-value]


def read(
    database: Database, statements: tuple[Statement, Statement], after: Sequence[str] | None, limit: int
) -> list[str]:
    """Return up to `limit` rows after a key, each as JSON, in the order of their keys."""
    first, following = statements
    if after is None:
        rows = database.run(first, limit=limit)
    else:
        rows = database.run(following, limit=limit, **{f"key{number}": value for number, value in enumerate(after)})
    return [row[0] for row in rows]


def count(database: Database, name: str) -> int:
    """Return the number of rows in a table."""
    number: int = database.run(Statement(f"SELECT count(*) FROM {name}"))[0][0]
    return number


def writing(table: ArchivedTable) -> Statement:
    """Return the statement that writes rows, given as JSON, into the table of the month."""
    names = ", ".join(column.name for column in table.columns)
    values = ", ".join(f"r.{column.name}::{column.type}" for column in table.columns)
    record = ", ".join(f"{column.name} text" for column in table.columns)
    return Statement(
        f"INSERT INTO {table.partition} ({names}) SELECT {values} FROM json_to_recordset(:rows::json) AS r ({record})"
    )


def write(transaction: Transaction, statement: Statement, rows: str) -> None:
    """Write the rows."""
    transaction.run(statement, rows=rows)


def _shown(column: Column) -> str:
    return column.name if column.type in TYPED else f"{column.name}::text AS {column.name}"
