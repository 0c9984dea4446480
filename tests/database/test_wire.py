"""Prepared statements on the wire: what goes to PostgreSQL comes back, however its answer is cut up on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from local.testkit.servers import Postgres, address_of
from paybridge.core.errors import QueryFailed
from paybridge.database import wire
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

MOMENT = datetime(2026, 11, 21, 11, 21, 45, 120_000, UTC)
ID = UUID("0192f0c1-2d3e-7abc-8def-0123456789ab")


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[Database]:
    url = postgres_server.fresh_database(migrated=False)
    database = Database(address_of(url))
    yield database
    database.close()
    postgres_server.drop_database(url)


class TestValues:
    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            ("text", "Заказ №1 \U0001f600 'quoted' \\ \n"),
            ("text", ""),
            ("text", None),
            ("bigint", -(2**63)),
            ("integer", 0),
            ("smallint", 32767),
            ("boolean", True),
            ("boolean", False),
            ("double precision", 0.1),
            ("numeric", Decimal("12345678901234567890.123")),
            ("bytea", bytes(range(256))),
            ("bytea", b""),
            ("uuid", ID),
            ("uuid", UUID(int=0)),
            ("timestamptz", MOMENT),
            ("timestamptz", datetime(1, 1, 1, tzinfo=UTC)),
            ("text[]", ["a", 'b"c', None]),
            ("json", {"order": ["ü", 1]}),
        ],
    )
    def test_a_value_comes_back_as_it_was(self, database: Database, type_: str, value: Any) -> None:
        assert database.run(Statement(f"SELECT :value::{type_}"), value=value) == [[value]]

    def test_a_time_elsewhere_is_the_same_moment(self, database: Database) -> None:
        elsewhere = MOMENT.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
        [[found]] = database.run(Statement("SELECT :value::timestamptz"), value=elsewhere)
        assert (found, found.utcoffset()) == (MOMENT, timedelta())

    def test_an_id_is_one_like_any_other(self, database: Database) -> None:
        [[found]] = database.run(Statement("SELECT :value::uuid"), value=ID)
        assert (type(found), str(found), {found: 1}[ID], repr(found)) == (UUID, str(ID), 1, repr(ID))

    def test_one_name_may_stand_twice(self, database: Database) -> None:
        statement = Statement("SELECT :one::text, :two::text, :one::text")
        assert database.run(statement, two="b", one="a") == [["a", "b", "a"]]

    def test_a_missing_parameter_is_an_error(self, database: Database) -> None:
        with pytest.raises(KeyError):
            database.run(Statement("SELECT :value::text"))


class TestAnswers:
    ROWS = Statement("""
        SELECT number, repeat('ü', :length::integer), CASE WHEN number % 2 = 0 THEN number END
        FROM generate_series(1, :rows::integer) AS number
    """)

    @pytest.mark.parametrize("read_bytes", [1, 3, 7, 4096])
    def test_an_answer_may_arrive_in_pieces(
        self, database: Database, read_bytes: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wire, "_READ_BYTES", read_bytes)
        expected = [[1, "üüü", None], [2, "üüü", 2], [3, "üüü", None]]
        assert database.run(self.ROWS, length=3, rows=3) == expected

    @pytest.mark.parametrize(("length", "rows"), [(300_000, 3), (10, 20_000)])
    def test_an_answer_may_be_larger_than_one_read(self, database: Database, length: int, rows: int) -> None:
        found = database.run(self.ROWS, length=length, rows=rows)
        assert [row[0] for row in found] == list(range(1, rows + 1))
        assert {row[1] for row in found} == {"ü" * length}

    def test_no_rows_are_an_empty_list(self, database: Database) -> None:
        assert database.run(self.ROWS, length=1, rows=0) == []
        assert database.run(Statement("CREATE TABLE notes (number integer)")) == []
        assert database.run(Statement("INSERT INTO notes VALUES (1)")) == []

    def test_an_error_after_rows_is_raised_and_leaves_nothing_behind(self, database: Database) -> None:
        statement = Statement("SELECT 1 / (number - :bad::integer) FROM generate_series(1, 5000) AS number")
        with pytest.raises(QueryFailed):
            database.run(statement, bad=4000)
        assert database.run(statement, bad=-1)[0] == [0]

    def test_notices_and_notifications_may_come_between(self, database: Database) -> None:
        database.run(Statement("LISTEN relay"))
        database.run(
            Statement("""
                CREATE FUNCTION loud() RETURNS text LANGUAGE plpgsql AS $body$
                BEGIN RAISE WARNING 'a notice'; PERFORM pg_notify('relay', 'now'); RETURN 'done'; END $body$
            """)
        )
        loud = Statement("SELECT loud()")
        assert [database.run(loud) for _ in range(3)] == [[["done"]]] * 3
        assert database._connection is not None
        assert len(database._connection.notifications) == 3
