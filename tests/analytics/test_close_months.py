"""Of a month that has left the database the figures stay, and what they were made from goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from paybridge.analytics import close_months
from paybridge.analytics.update import Updated, update_analytics
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.wiring.analytics import services_over
from tests.support.analytics import RUN_SECONDS_MAX, World

pytestmark = pytest.mark.integration

# No other test has payments of this year.
YEAR = {"first": date(2025, 1, 1), "last": date(2025, 12, 31)}
MONTH = date(2025, 6, 1)
BEGIN = datetime(2025, 6, 30, 12, tzinfo=UTC)
_TABLES = ("counted_payments", "counted_refunds", "counted_deliveries")
_ARCHIVED = Statement("""
    WITH month AS (
        INSERT INTO archive_months (month, state, checked_at, created_at, updated_at)
        VALUES (:month::date, 'archived', now(), now(), now()) RETURNING month
    )
    INSERT INTO archives (month, table_name, state, position, bucket, prefix, schema_version, columns, key_columns,
                          manifest_hash, started_at, detached_at)
    SELECT month, 'outbox', 'detached', 0, 'b', 'p', 'v', '[]', '[]', repeat('0', 64), now(), now() FROM month
""")
_DROPPED = Statement("UPDATE archives SET state = 'dropped' WHERE month = :month::date")
_CLEAN = [
    Statement(f"DELETE FROM {table} WHERE month = :month::date")  # noqa: S608 -- names of this list.
    for table in ("archives", "archive_months", "analytics.closed_months")
]
_EMPTIED = Statement("SELECT emptied_at IS NOT NULL FROM analytics.closed_months WHERE month = :month::date")
_LATE = Statement("""
    SELECT day, currency, facts FROM analytics.late_facts WHERE merchant_id = :merchant_id::uuid ORDER BY day
""")
_HOLD = Statement("SELECT FROM analytics.event_cursors WHERE merchant_id = :merchant_id::uuid FOR UPDATE")


@pytest.fixture(autouse=True)
def _archived(world: World) -> Iterator[None]:
    """The month is archived, and its tables are still there."""
    world.database.run(_ARCHIVED, month=MONTH)
    yield
    for statement in _CLEAN:
        world.database.run(statement, month=MONTH)


def rows(world: World) -> dict[str, int]:
    """How many rows the merchant has in each table."""
    return {
        table: world.database.run(
            Statement(f"SELECT count(*) FROM analytics.{table} WHERE merchant_id = :id::uuid"),  # noqa: S608
            id=world.merchant_id,
        )[0][0]
        for table in _TABLES
    }


def update(world: World) -> Updated:
    """Bring the figures up to date while another transaction is open."""
    return update_analytics(services_over(world.database), RUN_SECONDS_MAX)


def drop(world: World) -> Updated:
    """The tables of the month are dropped, and figures are brought up to date."""
    world.database.run(_DROPPED, month=MONTH)
    return world.update()


def write_month(world: World) -> list[dict[str, Any]]:
    """Payments, refunds and webhooks of the month and of the day after it, and the figures of both days."""
    for begin_at in (BEGIN, BEGIN + timedelta(days=1)):
        for _ in range(3):
            world.write(*world.payment(("succeeded", 2), begin_at=begin_at))
            world.end_delivery("delivered", created_at=begin_at)
        world.write(*world.refund(("succeeded", 4), begin_at=begin_at))
    world.update()
    days = world.days(**YEAR)
    assert [day["day"] for day in days] == ["2025-06-30", "2025-07-01"]
    return days


def test_rows_go_once_the_month_is_dropped_and_its_days_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close_months, "SLICE_ROWS", 2)
    days = write_month(world)
    everything = {"counted_payments": 6, "counted_refunds": 2, "counted_deliveries": 6}
    # The month may still be attached again.
    assert (world.update().deleted, rows(world)) == (0, everything)
    assert drop(world).deleted == 7
    assert rows(world) == {"counted_payments": 3, "counted_refunds": 1, "counted_deliveries": 3}
    assert world.days(**YEAR) == days
    assert world.database.run(_EMPTIED, month=MONTH) == [[True]]
    assert (world.update().deleted, world.days(**YEAR)) == (0, days)


def test_what_comes_late_is_told_and_changes_no_figure(world: World) -> None:
    days = write_month(world)
    drop(world)
    refund = world.refund(("succeeded", 4), ("failed", 90_000), begin_at=BEGIN)
    world.write(*world.payment(("succeeded", 2), begin_at=BEGIN), refund[-1])
    world.end_delivery("failed", created_at=BEGIN)
    assert world.update().late_days == 2
    assert world.days(**YEAR) == days
    assert world.database.run(_LATE, merchant_id=world.merchant_id) == [[date(2025, 6, 30), "EUR", 4]]
    assert rows(world)["counted_payments"] == 3
    # The day after the month counts what comes late.
    world.write(*world.payment(("succeeded", 2), begin_at=BEGIN + timedelta(days=1)))
    assert world.update().late_days == 0
    assert [day["payments"] for day in world.days(**YEAR)] == [3, 4]


def test_a_month_is_not_closed_while_a_worker_reads_or_a_day_is_not_computed(
    world: World, database_address: DatabaseAddress
) -> None:
    write_month(world)
    with closing(Database(database_address)) as other, other.transaction() as transaction:
        transaction.run(_HOLD, merchant_id=world.merchant_id)
        world.database.run(_DROPPED, month=MONTH)
        assert update(world).deleted == 0
    mark = Statement("""
        INSERT INTO analytics.dirty_days (merchant_id, day, currency, marked_at)
        VALUES (:merchant_id::uuid, '2025-06-30', 'EUR', now())
    """)
    with closing(Database(database_address)) as other:
        other.run(mark, merchant_id=world.merchant_id)
        with other.transaction() as transaction:
            # Another worker computes it at this moment.
            transaction.run(
                Statement("SELECT FROM analytics.dirty_days WHERE merchant_id = :merchant_id::uuid FOR UPDATE"),
                merchant_id=world.merchant_id,
            )
            assert update(world).deleted == 0
    # Computed first, and closed then.
    updated = world.update()
    assert (updated.days, updated.deleted) == (1, 7)
