"""What the schema sets up around the tables: partitions that come late."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.partitions import Month
from paybridge.operations.extend_partitions import extend_partitions

pytestmark = pytest.mark.integration

PARENTS = (
    "payments",
    "payment_attempts",
    "operations",
    "operation_attempts",
    "outbox",
    "webhook_deliveries",
    "webhook_attempts",
)

_THIS_MONTH = Statement("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')")
_PLACES = Statement("""
    SELECT tableoid::regclass::text FROM payments WHERE id = :id::uuid
    UNION ALL SELECT tableoid::regclass::text FROM outbox WHERE payment_id = :id::uuid
""")
# The names of indexes and constraints are PostgreSQL's own business; how many there are of each kind is ours.
_SHAPE = """
    SELECT (SELECT count(*) FROM pg_index WHERE indrelid = :name::regclass AND indisvalid),
           (SELECT count(*) FROM pg_trigger WHERE tgrelid = :name::regclass AND NOT tgisinternal),
           (SELECT json_agg(contype ORDER BY contype) FROM pg_constraint WHERE conrelid = :name::regclass),
           (SELECT reloptions::text FROM pg_class WHERE oid = :name::regclass)
"""


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    database = Database(database_address)
    yield database
    database.close()


def this_month(database: Database) -> str:
    month: str = database.run(_THIS_MONTH)[0][0]
    return month


def drop_month(database: Database, month: str) -> None:
    """As if the jobs had not run for months."""
    for parent in PARENTS:
        database.run(Statement(f"DROP TABLE {parent}_{month}"))


def extend(database: Database) -> list[str]:
    """Create the missing partitions, none of which may fail; return their names."""

    def fail(_: Month, error: Exception) -> None:
        raise error

    return extend_partitions(database, fail).created


def places(database: Database, payment_id: uuid.UUID) -> list[str]:
    """The partitions that hold the payment and its event."""
    return [row[0] for row in database.run(_PLACES, id=payment_id)]


class TestEnsurePartition:
    def test_rows_that_came_before_their_month_move_into_it(self, database: Database) -> None:
        # The month may have changed since the database was migrated.
        extend(database)
        month = this_month(database)
        drop_month(database, month)
        payment_id = new_payment(database, new_merchant(database))
        assert places(database, payment_id) == ["payments_default", "outbox_default"]
        assert sorted(extend(database)) == sorted(f"{parent}_{month}" for parent in PARENTS)
        assert places(database, payment_id) == [f"payments_{month}", f"outbox_{month}"]
        assert extend(database) == []

    def test_rows_of_no_month_stay_in_the_default_partition(self, database: Database) -> None:
        stray = uuid.UUID(int=1)
        database.run(
            Statement("""
                INSERT INTO webhook_attempts (delivery_id, number, status) VALUES (:id::uuid, 1::smallint, 'started')
            """),
            id=stray,
        )
        extend(database)
        drop_month(database, this_month(database))
        assert len(extend(database)) == len(PARENTS)
        assert database.run(Statement("SELECT delivery_id FROM webhook_attempts_default")) == [[stray]]

    @pytest.mark.parametrize("parent", PARENTS)
    def test_a_partition_has_all_that_its_table_has(self, database: Database, parent: str) -> None:
        def shape(name: str) -> list[Any]:
            return database.run(Statement(_SHAPE), name=name)[0]

        default, month = shape(f"{parent}_default"), shape(f"{parent}_{this_month(database)}")
        assert month[:3] == default[:3]
        assert ("autovacuum" in (month[3] or "")) == (parent == "outbox")
