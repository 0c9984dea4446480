"""Core clauses as statements, and the tables they name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import DateTime, Integer, TableClause, Text, Uuid, bindparam, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from paybridge.database.clauses import compiled, table_of
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.outbox.table import outbox
from paybridge.payments.store.table import payments

NOTES = table_of("notes", {"id": "uuid", "text": "text"})

_TYPES = Statement("""
    SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = :name::regclass AND attnum > 0 AND NOT attisdropped
""")


class TestCompiled:
    def test_one_parameter_may_stand_twice(self) -> None:
        clause = select(NOTES.c.id).where(NOTES.c.text == bindparam("text"), NOTES.c.text >= bindparam("text"))
        assert compiled(clause).values({"text": "a"}) == ["a"]

    def test_a_value_inside_the_clause_is_refused(self) -> None:
        with pytest.raises(ValueError, match="text_1"):
            compiled(select(NOTES.c.id).where(NOTES.c.text == "a"))

    @pytest.mark.integration
    def test_it_runs_like_every_other_statement(self, database_address: DatabaseAddress) -> None:
        values = {
            "id": UUID(int=1),
            "text": "50% of :all 'quotes'",
            "number": 7,
            "at": datetime(2026, 1, 2, tzinfo=UTC),
        }
        types: dict[str, TypeEngine[object]] = {
            "id": Uuid(),
            "text": Text(),
            "number": Integer(),
            "at": DateTime(timezone=True),
        }
        statement = compiled(select(*(bindparam(name, type_=type_) for name, type_ in types.items())))
        with closing(Database(database_address)) as database:
            assert database.run(statement, **values) == [list(values.values())]


@pytest.mark.integration
class TestTables:
    @pytest.fixture
    def database(self, database_address: DatabaseAddress) -> Iterator[Database]:
        with closing(Database(database_address)) as database:
            yield database

    @pytest.mark.parametrize("table", [payments, outbox], ids=lambda table: table.name)
    def test_every_column_is_in_the_schema_with_its_type(self, database: Database, table: TableClause) -> None:
        of_schema = dict(database.run(_TYPES, name=table.name))
        ours = {column.name: column.type.compile(postgresql.dialect()).lower() for column in table.columns}
        assert {name: of_schema[name] for name in ours} == ours


def test_functions_start_without_sqlalchemy() -> None:
    """Importing it would be the larger part of a cold start; only lists and diagnosis build their queries."""
    handlers = "api.app, api.handler, consumer.handler, webhooks.handler, relay.handler"
    script = f"import sys, {handlers}; print('sqlalchemy' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "False"
