"""Deliveries that have ended are read in that order, and none is skipped."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import datetime

import pytest

from local.testkit.live import eventually
from local.testkit.payments import new_merchant
from local.testkit.webhooks import ended_delivery
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.webhooks.domain.delivery_log import EndedDelivery
from paybridge.webhooks.read_ended import EndedDeliveries
from paybridge.webhooks.store import ended

pytestmark = pytest.mark.integration

START: tuple[datetime | str, uuid.UUID] = ("-infinity", uuid.UUID(int=0))
_END = Statement("""
    UPDATE webhook_deliveries SET status = 'failed', next_attempt_at = NULL, finished_at = clock_timestamp()
    WHERE id = :id::uuid
""")
_OPEN = Statement("""
    UPDATE webhook_deliveries SET status = 'pending', finished_at = NULL, next_attempt_at = now() WHERE id = :id::uuid
""")


@pytest.fixture(autouse=True)
def _no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "LAG_SECONDS", 0.0)


def read(database: Database, limit: int = 100) -> list[EndedDelivery]:
    """Everything that has ended, in pages."""
    found: list[EndedDelivery] = []
    after = START
    while True:
        with database.transaction() as transaction:
            page = EndedDeliveries(database).next_after(transaction, after, limit)
        found += page
        if len(page) < limit:
            return found
        after = (page[-1].ended_at, page[-1].id)


def test_pages_have_the_order_in_which_deliveries_ended(database: Database) -> None:
    merchant_id = new_merchant(database)
    ids = [ended_delivery(database, merchant_id, uuid.uuid4()) for _ in range(5)]
    # This one is sent again and ends last.
    database.run(_OPEN, id=ids[1])
    database.run(_END, id=ids[1])
    expected = [ids[0], *ids[2:], ids[1]]
    eventually(lambda: [one.id for one in read(database) if one.id in ids] == expected, "all of them")
    assert [one.id for one in read(database, limit=2) if one.id in ids] == expected


def test_an_end_that_commits_late_is_not_skipped(database: Database, database_address: DatabaseAddress) -> None:
    merchant_id = new_merchant(database)
    late, early = (ended_delivery(database, merchant_id, uuid.uuid4()) for _ in range(2))
    for id_ in (late, early):
        database.run(_OPEN, id=id_)
    with closing(Database(database_address)) as other:
        with other.transaction() as transaction:
            transaction.run(_END, id=late)
            database.run(_END, id=early)
            assert not {late, early}.intersection(one.id for one in read(database))
        eventually(
            lambda: [one.id for one in read(database) if one.id in {late, early}] == [late, early], "both, in order"
        )
