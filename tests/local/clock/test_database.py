"""The stack's time in PostgreSQL: every way to ask for it, the plans, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pg8000.native
import pytest

from local.clock.database import ClockRefusedError, DatabaseClock, install
from local.clock.offset import SEARCH_PATH
from local.servers.postgres import connect
from local.testkit import servers

AHEAD = timedelta(days=40, microseconds=5)


@pytest.fixture(scope="module")
def url(postgres_server: servers.Postgres) -> Iterator[str]:
    url = postgres_server.fresh_database()
    install(url)
    install(url)
    yield url
    postgres_server.drop_database(url)


def administrator_of(url: str) -> str:
    return url.replace("paybridge:paybridge@", "postgres:paybridge@")


@pytest.fixture
def session(url: str) -> Iterator[pg8000.native.Connection]:
    """A session that is there before the clock moves."""
    with closing(connect(url)) as connection:
        connection.run("SELECT now()")
        yield connection


@pytest.fixture
def ahead(session: pg8000.native.Connection, url: str) -> Iterator[None]:
    with closing(DatabaseClock(administrator_of(url))) as clock:
        clock.set_ahead(AHEAD)
        yield
        clock.set_ahead(timedelta())


def is_ahead(moment: datetime) -> bool:
    return abs(moment - datetime.now(UTC) - AHEAD) < timedelta(seconds=5)


@pytest.mark.usefixtures("ahead")
class TestAhead:
    def test_moves_sessions_that_were_there_and_new_ones(self, session: pg8000.native.Connection, url: str) -> None:
        with closing(connect(url)) as new:
            for one in (session, new):
                assert all(map(is_ahead, one.run("SELECT now(), clock_timestamp()")[0]))

    def test_is_exact(self, session: pg8000.native.Connection) -> None:
        assert session.run("SELECT now() - pg_catalog.now()")[0][0] == AHEAD

    def test_moves_column_defaults_also_of_later_partitions(self, session: pg8000.native.Connection) -> None:
        session.run("SELECT ensure_partition('outbox', timestamptz '2031-01-01 00:00Z')")
        for moment in ("2031-01-15", "2099-01-01"):
            session.run(
                "INSERT INTO outbox (id, payment_id, merchant_id, type, exchange, routing_key, correlation_id, body) "
                "SELECT uuid7_floor(:moment::timestamptz), gen_random_uuid(), gen_random_uuid(), "
                "'test', 'payments', 'test', 'c', '{}'",
                moment=moment,
            )
        rows = session.run("SELECT created_at, available_at FROM outbox WHERE type = 'test'")
        assert len(rows) == 2
        assert all(is_ahead(moment) for row in rows for moment in row)

    def test_moves_no_other_database_of_the_server(self, postgres_server: servers.Postgres) -> None:
        other = postgres_server.fresh_database()
        install(other)
        with closing(connect(other)) as connection:
            assert not is_ahead(connection.run("SELECT now()")[0][0])
        postgres_server.drop_database(other)


def test_leaves_no_default_behind(session: pg8000.native.Connection) -> None:
    session.run("SET search_path = pg_catalog")
    texts = [row[0] for row in session.run("SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef")]
    assert "public.now()" in texts
    assert not {"now()", "clock_timestamp()"} & set(texts)


def test_is_part_of_the_plan_and_no_call(session: pg8000.native.Connection) -> None:
    session.run(f"SET search_path = {SEARCH_PATH}; SET enable_seqscan = off")
    plan = "\n".join(
        row[0]
        for row in session.run(
            "EXPLAIN (VERBOSE) SELECT id FROM outbox "
            "WHERE published_at IS NULL AND exchange IS NOT NULL AND available_at <= now()"
        )
    )
    assert "Index Cond: (outbox_1.available_at <= (pg_catalog.now() + (COALESCE(current_setting(" in plan
    assert "public.now" not in plan


def test_needs_a_role_that_may_set_parameters_of_the_server(url: str) -> None:
    with closing(DatabaseClock(url)) as clock:
        clock.set_ahead(timedelta())
        with pytest.raises(ClockRefusedError, match="superuser"):
            clock.set_ahead(AHEAD)
