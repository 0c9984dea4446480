"""The rows of a partition as CSV, in the order of their primary key, and back from JSON.

PostgreSQL writes the lines and sends those of a file as one value, so that Python touches no row. Numbers, booleans and
times have a type of their own in Parquet. Every other value is PostgreSQL's text of it, which comes back exactly as it
was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paybridge.archive.domain import CSV_QUOTE, ArchivedTable, Column
from paybridge.archive.ports import RowLines
from paybridge.database.database import Database, Statement, Transaction

TYPED = frozenset({"boolean", "smallint", "integer", "bigint", "timestamp with time zone"})
# PostgreSQL takes at most 100 arguments of a function.
_ARGUMENTS_MAX = 90
Key = Sequence[str]


class RowReader:
    """Reads and counts the rows of one table, those between two keys at a time."""

    def __init__(self, table: ArchivedTable) -> None:
        types = {column.name: column.type for column in table.columns}
        names = ", ".join(table.key_columns)
        after, until = (
            ", ".join(f":{what}{number}::{types[name]}" for number, name in enumerate(table.key_columns))
            for what in ("after", "until")
        )
        is_after, is_until = f"({names}) > ({after})", f"({names}) <= ({until})"
        shown = ", ".join(f"{name}::text" for name in table.key_columns)
        # In the order of the index: an ORDER BY beside the text would take the text's, and sort the whole table.
        self._ends = {
            has_after: Statement(
                f"SELECT {shown} FROM (SELECT {names} FROM {table.partition} {_where([is_after] * has_after)} "
                f"ORDER BY {names} OFFSET :limit::integer - 1 LIMIT 1) AS end_of_file"
            )
            for has_after in (False, True)
        }
        # In the order of the key also if the server reads with several processes.
        line = f"string_agg({_line(table.columns)}, E'\\n' ORDER BY {names})"
        ranges = {
            (has_after, has_until): f"{table.partition} {_where([is_after] * has_after + [is_until] * has_until)}"
            for has_after in (False, True)
            for has_until in (False, True)
        }
        self._rows = {ends: Statement(f"SELECT {line}, count(*) FROM {range_}") for ends, range_ in ranges.items()}
        # Bounded whatever the table has come to hold.
        self._counts = {
            ends: Statement(f"SELECT count(*) FROM (SELECT FROM {range_} LIMIT :most::integer) AS found")
            for ends, range_ in ranges.items()
        }

    def find_end(self, database: Database, after: Key | None, limit: int) -> Key | None:
        """Return the key of the row that is so many after a key, None if there are no more than that many."""
        rows = database.run(self._ends[after is not None], limit=limit, **_named("after", after))
        return tuple(rows[0]) if rows else None

    def read(self, database: Database, after: Key | None, until: Key | None) -> RowLines:
        """Return the rows after a key up to another one, in the order of their keys."""
        statement = self._rows[after is not None, until is not None]
        lines, count = database.run(statement, **_named("after", after), **_named("until", until))[0]
        return RowLines((lines or "").encode(), count)

    def count(self, database: Database | Transaction, after: Key | None, until: Key | None, most: int) -> int:
        """Return how many rows there are after a key up to another one, `most` if there are more."""
        statement = self._counts[after is not None, until is not None]
        found: int = database.run(statement, most=most, **_named("after", after), **_named("until", until))[0][0]
        return found


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


def _where(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _named(what: str, key: Key | None) -> dict[str, str]:
    return {} if key is None else {f"{what}{number}": value for number, value in enumerate(key)}


def _line(columns: Iterable[Column]) -> str:
    """Return the expression that makes a line of CSV of a row.

    CSV has no way to tell an empty text from none, so both are written as one. A last value names the columns, by their
    numbers, that hold an empty text.
    """
    arguments, marks, between = [], [], ""
    for number, column in enumerate(columns):
        if column.type == "boolean":
            # On its own it is written as t or f.
            value, quote = f"{column.name}::text", ""
        elif column.type in TYPED or column.type == "uuid":
            value, quote = column.name, ""
        else:
            text = column.name if column.type == "text" else f"{column.name}::text"
            value, quote = f"replace({text}, '{CSV_QUOTE}', '{CSV_QUOTE * 2}')", CSV_QUOTE
            marks.append(f"CASE WHEN {text} = '' THEN '{number} ' END")
        if between or quote:
            arguments.append(f"'{between}{quote}'")
        arguments.append(value)
        between = f"{quote},"
    return _concatenated([*arguments, f"'{between}'", *marks])


def _concatenated(arguments: Sequence[str]) -> str:
    """Return the expression that concatenates these values; one that is null is nothing."""
    parts = [
        f"concat({', '.join(arguments[start : start + _ARGUMENTS_MAX])})"
        for start in range(0, len(arguments), _ARGUMENTS_MAX)
    ]
    return " || ".join(parts)
