"""A service works with its own rights: its schema, what it reads of others, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from local.testkit.servers import Postgres, address_of
from paybridge.core.errors import QueryFailed
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.rights import grant_rights
from paybridge.database.services import ANALYTICS, LEDGER, SERVICES, Service, role_of
from paybridge.ledger.post import post_events
from tests.support import secrets

pytestmark = pytest.mark.integration

_WHO = Statement("SELECT current_user::text")
_TABLES = Statement("""
    SELECT c.oid::regclass::text, n.nspname, c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1
""")
_MAY = Statement("""
    SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
        AS privilege WHERE has_table_privilege(current_user, :oid::text::oid, privilege)
""")
REFUSED = "42501"


@pytest.fixture(params=SERVICES.values(), ids=lambda service: service.name)
def service(request: pytest.FixtureRequest) -> Service:
    chosen: Service = request.param
    return chosen


@pytest.fixture
def own(database_address: DatabaseAddress, service: Service) -> Iterator[Database]:
    """The database as the service sees it."""
    with closing(Database(database_address, service=service)) as database:
        yield database


@pytest.fixture
def ledger(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address, service=LEDGER)) as database:
        yield database


def rights(database: Database) -> dict[str, set[str]]:
    """Return what the session may do with each table, leaving out those with which it may do nothing."""
    found = {name: {right for (right,) in database.run(_MAY, oid=oid)} for name, _, oid in database.run(_TABLES)}
    return {name: granted for name, granted in found.items() if granted}


class TestRights:
    def test_a_service_has_its_schema_and_what_it_reads(self, own: Database, service: Service) -> None:
        schemas = {name: schema for name, schema, _ in own.run(_TABLES)}
        granted = rights(own)
        others = {name: right for name, right in granted.items() if schemas[name] != service.name}
        expected = {"SELECT": service.reads, "INSERT": service.adds_to}
        assert others == {name: {right} for right, names in expected.items() for name in names}
        assert {name for name, schema in schemas.items() if schema == service.name} == granted.keys() - others.keys()

    def test_it_works_as_its_role_also_on_a_second_connection(self, own: Database, service: Service) -> None:
        with closing(own.another()) as another:
            assert own.run(_WHO) == another.run(_WHO) == [["paybridge_" + service.name]]

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT id FROM payments",
            "SELECT 1 FROM operations",
            "INSERT INTO merchants DEFAULT VALUES",
            "UPDATE outbox SET type = type",
            "DELETE FROM outbox",
            "CREATE TABLE mine (id integer)",
            "CREATE SCHEMA mine",
        ],
    )
    def test_what_belongs_to_others_is_refused(self, own: Database, sql: str) -> None:
        with pytest.raises(QueryFailed) as refused:
            own.run(Statement(sql))
        assert refused.value.sqlstate == REFUSED

    @pytest.mark.parametrize("table", ["ledger.journals", "ledger.transfers"])
    @pytest.mark.parametrize("sql", ["UPDATE {} SET currency = 'EUR'", "DELETE FROM {}", "TRUNCATE {}"])
    def test_the_ledger_cannot_change_history(self, ledger: Database, table: str, sql: str) -> None:
        with pytest.raises(QueryFailed) as refused:
            ledger.run(Statement(sql.format(table)))
        assert refused.value.sqlstate == REFUSED
        assert rights(ledger)[table] == {"SELECT", "INSERT"}

    def test_the_ledger_posts_with_its_rights(self, database: Database, ledger: Database) -> None:
        events = MoneyEvents(new_merchant(database))
        report = post_events(ledger, [events.succeeded("100.00")])
        assert (report.posted, report.refused) == (1, [])

    def test_one_service_cannot_read_another(self, ledger: Database) -> None:
        with pytest.raises(QueryFailed) as refused:
            ledger.run(Statement("SELECT 1 FROM analytics.days"))
        assert refused.value.sqlstate == REFUSED


class TestGrantRights:
    def test_a_second_run_changes_nothing(self, database: Database) -> None:
        assert grant_rights(database) == []
        acls = Statement("SELECT oid::regclass::text, relacl::text, xmin::text FROM pg_class WHERE relacl IS NOT NULL")
        before = database.run(acls)
        assert grant_rights(database) == []
        assert database.run(acls) == before

    def test_a_table_that_is_added_and_a_right_that_is_too_much(self, database: Database, ledger: Database) -> None:
        database.run(Statement("CREATE TABLE ledger.of_a_test (id integer)"))
        database.run(Statement("GRANT UPDATE ON ledger.journals, payments TO paybridge_ledger"))
        try:
            assert "ledger.of_a_test" not in rights(ledger)
            grant_rights(database)
            granted = rights(ledger)
            assert granted["ledger.of_a_test"] == {"SELECT", "INSERT", "UPDATE", "DELETE"}
            assert granted["ledger.journals"] == {"SELECT", "INSERT"}
            assert "payments" not in granted
        finally:
            database.run(Statement("DROP TABLE ledger.of_a_test"))


class TestWithoutRoles:
    @pytest.fixture
    def poor(self, postgres_server: Postgres) -> Iterator[DatabaseAddress]:
        """A database whose login has no roles of services."""
        url = postgres_server.fresh_database()
        address = replace(address_of(url), user="poor", password="poor")
        secrets.as_superuser(postgres_server, "CREATE ROLE poor LOGIN SUPERUSER PASSWORD 'poor'")
        yield address
        postgres_server.drop_database(url)
        secrets.as_superuser(postgres_server, "DROP ROLE poor")

    def test_a_service_keeps_every_right_and_says_so(
        self, poor: DatabaseAddress, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        with closing(Database(poor, service=LEDGER)) as database:
            assert grant_rights(database) == [LEDGER.name, ANALYTICS.name]
            assert database.run(Statement("SELECT count(*) FROM payments")) == [[0]]
            assert database.run(_WHO) == [["poor"]]
        (warning,) = [one for one in caplog.records if "keeps every right" in one.message]
        assert vars(warning)["service_name"] == "ledger"

    def test_a_role_without_rights_in_this_database_is_not_assumed(
        self, poor: DatabaseAddress, postgres_server: Postgres
    ) -> None:
        """Roles are shared by all databases of a server, and rights are not."""
        role = role_of("poor", LEDGER)
        secrets.as_superuser(postgres_server, f"CREATE ROLE {role}")
        try:
            with closing(Database(poor, service=LEDGER)) as database:
                assert database.run(_WHO) == [["poor"]]
        finally:
            secrets.as_superuser(postgres_server, f"DROP ROLE {role}")
