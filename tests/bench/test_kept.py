"""The past payments that the bench writes into a database."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from bench import kept
from bench.kept import Kept
from local.testkit.payments import MovableClock, new_merchant
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.payment import Status
from paybridge.payments.domain.query import PaymentFilters
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store.listing import list_newest_first
from paybridge.payments.sweep import sweep_stalled
from paybridge.payments.timeline import payment_timeline

pytestmark = pytest.mark.integration

COUNT = 60


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture(scope="module")
def merchant_id(database: Database) -> uuid.UUID:
    return new_merchant(database)


@pytest.fixture(scope="module")
def filled(database: Database, database_url: str, merchant_id: uuid.UUID) -> Kept:
    return kept.fill(database_url, merchant_id, COUNT, "{}")


class TestFill:
    def test_every_number_is_a_payment_and_one_in_twenty_was_declined(
        self, database: Database, merchant_id: uuid.UUID, filled: Kept
    ) -> None:
        found = [
            payment_queries.get(database, merchant_id, filled.payment_id(number)) for number in range(1, COUNT + 1)
        ]
        statuses = [payment.status for payment in found if payment is not None]
        assert (statuses.count(Status.SUCCEEDED), statuses.count(Status.FAILED)) == (57, 3)

    def test_the_newest_number_is_listed_first(self, database: Database, merchant_id: uuid.UUID, filled: Kept) -> None:
        page = list_newest_first(database, merchant_id, PaymentFilters(), before=None, limit=2)
        assert [row[0] for row in page] == [filled.payment_id(COUNT), filled.payment_id(COUNT - 1)]

    def test_a_payment_has_gone_the_whole_way(self, database: Database, merchant_id: uuid.UUID, filled: Kept) -> None:
        timeline = payment_timeline(database, merchant_id, filled.payment_id(1))
        assert timeline is not None
        assert {entry.type for entry in timeline} >= {
            "payment.created",
            "payment.processing",
            "payment.succeeded",
            "event.relayed",
            "gateway.attempt_succeeded",
            "webhook.attempt_delivered",
        }

    def test_each_month_has_a_share_in_a_partition_of_its_own(self, database: Database, filled: Kept) -> None:
        partitions = Statement("SELECT DISTINCT tableoid::regclass::text FROM payments")
        found = {name for (name,) in database.run(partitions)}
        assert len(found) >= kept.MONTHS
        assert "payments_default" not in found

    def test_nothing_is_left_to_do(self, database: Database, filled: Kept) -> None:
        due = Statement("SELECT count(*) FROM outbox WHERE published_at IS NULL AND exchange IS NOT NULL")
        assert database.run(due) == [[0]]
        assert sweep_stalled(database, MovableClock(), _NoIds(), 60) == []


class TestAddDue:
    def test_rows_are_due_at_once(self, database: Database, database_url: str, filled: Kept) -> None:
        kept.add_due(database_url, 5, body_bytes=900)
        due = Statement("SELECT length(body) FROM outbox WHERE published_at IS NULL AND available_at <= now()")
        lengths = [row[0] for row in database.run(due) if row[0] == 900]
        assert lengths == [900] * 5


class _NoIds:
    """Fail if an id is made: without stalled payments there are no commands."""

    def new(self) -> uuid.UUID:
        raise AssertionError("a payment was stalled")
