"""Migrating while other sessions use the tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit import servers
from local.testkit.locks import held
from paybridge.core.errors import LockTimeout
from paybridge.database.database import Database, Statement
from paybridge.database.health import schema_revision
from paybridge.database.migrations import HEAD, migrate
from paybridge.operations import migrate as usecase
from paybridge.operations.migrate import Migrated, migrate_schema

pytestmark = pytest.mark.integration

# Blocks the migration's advisory lock and its tables.
LOCK = Statement("SELECT pg_advisory_lock(1885436258)")
UNLOCK = Statement("SELECT pg_advisory_unlock(1885436258)")


@pytest.fixture
def url(postgres_server: servers.Postgres) -> Iterator[str]:
    url = postgres_server.fresh_database(migrated=False)
    yield url
    postgres_server.drop_database(url)


class TestMigrateSchema:
    def test_returns_the_revisions_before_and_after(self, url: str) -> None:
        with closing(Database(servers.address_of(url))) as database:
            assert migrate_schema(database) == Migrated(None, HEAD)
            assert migrate_schema(database) == Migrated(HEAD, HEAD)

    def test_retries_while_another_session_holds_the_lock(self, url: str) -> None:
        with closing(Database(servers.address_of(url))) as database, closing(database.another()) as other:
            other.run(LOCK)
            # Longer than the two seconds after which the first try gives up.
            timer = threading.Timer(2.5, other.run, [UNLOCK])
            timer.start()
            assert migrate_schema(database, pause_seconds=0.2) == Migrated(None, HEAD)
            timer.join()

    def test_gives_up_in_the_end(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(usecase, "LOCK_TRIES", 1)
        with closing(Database(servers.address_of(url))) as database, closing(database.another()) as other:
            other.run(LOCK)
            with pytest.raises(LockTimeout):
                migrate_schema(database, pause_seconds=0)

    def test_a_revision_that_waits_for_a_table_holds_no_lock_of_those_before_it(
        self, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(usecase, "LOCK_TRIES", 1)
        address = servers.address_of(url)
        with closing(Database(address)) as database:
            migrate_schema(database, "0001")
            with held(address, "LOCK TABLE payments IN ROW EXCLUSIVE MODE"), pytest.raises(LockTimeout):
                migrate_schema(database)
            reached = schema_revision(database)
            assert reached == "0008"
            assert migrate_schema(database) == Migrated(reached, HEAD)

    def test_outbox_is_free_while_deliveries_are_indexed(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(usecase, "LOCK_TRIES", 1)
        address = servers.address_of(url)
        with closing(Database(address)) as database:
            migrate_schema(database, "0024")
            # The index of revision 0027 waits. Revision 0025, which locks the outbox, has committed.
            with held(address, "LOCK TABLE webhook_deliveries IN ROW EXCLUSIVE MODE"), pytest.raises(LockTimeout):
                migrate_schema(database)
            assert schema_revision(database) == "0026"

    def test_a_revision_that_another_session_went_beyond_changes_nothing(self, url: str) -> None:
        with closing(Database(servers.address_of(url))) as database:
            migrate_schema(database)
            migrate(database, "0002")
            assert schema_revision(database) == HEAD
