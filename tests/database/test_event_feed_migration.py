"""Numbering the outbox by transactions touches no row that is there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.servers import Postgres, address_of
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.feed.domain import START, FeedFilters
from paybridge.feed.read_events import read_page
from paybridge.operations.migrate import migrate_schema
from tests.support.feed import await_horizon

pytestmark = pytest.mark.integration

# As older code writes it, before the migration and after.
_WRITE = """
    INSERT INTO outbox (id, payment_id, merchant_id, sequence, type, exchange, routing_key, body, correlation_id)
    VALUES (:id::uuid, :id::uuid, :merchant_id::uuid, 1, 'payment.succeeded', 'e', 'k', '{"data": {}}', 'c')
"""
_FILES = Statement("""
    SELECT relname, relfilenode FROM pg_class WHERE relname ~ '^outbox_(default|[0-9_]+)$' ORDER BY relname
""")


@pytest.fixture
def database(postgres_server: Postgres) -> Iterator[Database]:
    """A database before the migration."""
    url = postgres_server.fresh_database(migrated=False)
    with closing(Database(address_of(url))) as connection:
        migrate_schema(connection, "0018")
        yield connection
    postgres_server.drop_database(url)


def write(database: Database, merchant_id: uuid.UUID) -> uuid.UUID:
    """Write an event by a fresh statement, because the columns of the table change in between."""
    id_ = Uuid7Ids().new()
    database.run(Statement(_WRITE), id=id_, merchant_id=merchant_id)
    return id_


def test_the_feed_shows_old_rows_before_new_ones_and_no_table_is_rewritten(database: Database) -> None:
    merchant_id = uuid.uuid4()
    old = [write(database, merchant_id) for _ in range(3)]
    files = database.run(_FILES)
    migrate_schema(database)
    assert database.run(_FILES) == files
    new = write(database, merchant_id)
    await_horizon(database)
    page = read_page(database, merchant_id, FeedFilters(), START, 10)
    assert [event.id for event in page.events] == [*old, new]
    assert [event.position.xid for event in page.events[:3]] == [0, 0, 0]
    assert page.events[3].position.xid > 0
