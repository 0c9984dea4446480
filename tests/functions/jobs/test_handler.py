"""The jobs function as Lambda calls it, with a real database."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from uuid_utils.compat import uuid7

from jobs import handler as jobs
from paybridge import wiring
from paybridge.domain.events import Event
from paybridge.settings import Environment
from paybridge.store import outbox
from paybridge.store.connecting import DatabaseAddress
from paybridge.store.database import Database, Statement
from tests.support.payments import MovableClock, new_merchant, new_payment, outbox_rows

pytestmark = pytest.mark.integration

PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, database: Database) -> MovableClock:
    """The clock of the function, which is wired to the test's database."""
    clock = MovableClock()
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "clock", lambda: clock)
    monkeypatch.setattr(wiring, "environment", lambda: Environment({"STUCK_AFTER_SECONDS": "60"}))
    return clock


class TestHandler:
    def test_an_outcome_that_no_webhook_came_of_is_sent_on_and_logged(
        self, database: Database, clock: MovableClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = new_merchant(database)
        payment_id = new_payment(database, merchant_id, webhook_url="https://receiver.example.com/")
        event = Event(
            id=uuid7(),
            type="payment.succeeded",
            payment_id=payment_id,
            merchant_id=merchant_id,
            correlation_id="card 4111111111111111",
            time=datetime.now(UTC),
            sequence=2,
            data={},
        )
        with database.transaction() as transaction:
            outbox.add(transaction, [event, replace(event, id=uuid7(), type="payment.processing")])
        database.run(PUBLISH_ALL)
        clock.ahead = timedelta(seconds=61)
        done = jobs.handler({}, None)  # type: ignore[arg-type]
        assert (done["swept_deliveries"], done["swept_events"]) == (0, 1)
        assert outbox_rows(database, payment_id)[-1]["routing_key"] == "webhooks.retry"
        (line,) = [vars(record) for record in caplog.records if record.message == "sent lost events on"]
        assert line["webhooks"] == [
            {"id": str(event.id), "payment_id": str(payment_id), "correlation_id": "card [digits]"}
        ]
        assert jobs.handler({}, None)["swept_events"] == 0  # type: ignore[arg-type]
