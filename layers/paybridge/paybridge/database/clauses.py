"""Build queries with SQLAlchemy Core: tables to name in clauses, and clauses as statements for our connection.

Core writes the SQL of a query that is put together at run time. Running it is the same as for every other statement:
prepared once per connection, then one round trip. Import this module only where a query is built, because SQLAlchemy
would be the larger part of most cold starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ClauseElement,
    Date,
    DateTime,
    Double,
    Integer,
    Numeric,
    SmallInteger,
    TableClause,
    Text,
    Uuid,
    column,
    table,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.types import TypeEngine, UserDefinedType

from paybridge.database.database import Statement


class Xid8(UserDefinedType[Any]):
    """The number of a transaction."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return PostgreSQL's name of the type."""
        return "xid8"


_DIALECT = PGDialect_pg8000(paramstyle="named")  # type: ignore[no-untyped-call]
_TYPES: Mapping[str, TypeEngine[Any]] = {
    "bigint": BigInteger(),
    "boolean": Boolean(),
    "date": Date(),
    "double precision": Double(),
    "integer": Integer(),
    "json": JSON(),
    "numeric": Numeric(),
    "smallint": SmallInteger(),
    "text": Text(),
    "timestamptz": DateTime(timezone=True),
    "uuid": Uuid(),
    "xid8": Xid8(),
}


def table_of(name: str, column_types: Mapping[str, str], schema: str | None = None) -> TableClause:
    """Describe a table by its columns and their SQL types; the migrations own the schema."""
    columns = (column(name, _TYPES[type_]) for name, type_ in column_types.items())
    return table(name, *columns, schema=schema)


def compiled(clause: ClauseElement) -> Statement:
    """Compile a clause whose values are all named `bindparam`s without a value.

    Compile each clause once and keep the statement, because a connection prepares every statement it has not seen.
    Raises ValueError for a value inside the clause, which would be the same in every run.
    """
    query = clause.compile(dialect=_DIALECT)
    fixed = sorted(name for name, value in query.params.items() if value is not None)
    if fixed:
        raise ValueError(f"the clause contains values: {', '.join(fixed)}")
    return Statement(str(query))
