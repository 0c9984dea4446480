"""The ledger function as Lambda calls it, with a real database and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from ledger import handler as ledger
from local.testkit.ledger import MoneyEvents, balances
from local.testkit.locks import held
from local.testkit.payments import new_merchant
from local.testkit.queues import take_all
from local.testkit.rmq import rmq_event
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.database.services import LEDGER
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = [pytest.mark.integration, pytest.mark.broker]

REFUSE = Statement("ALTER TABLE ledger.accounts ADD CONSTRAINT of_a_test CHECK (currency <> 'XTS')")
REFUSE_NO_MORE = Statement("ALTER TABLE ledger.accounts DROP CONSTRAINT of_a_test")


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database_address: DatabaseAddress, vhost: Vhost) -> Iterator[None]:
    """Wire the function to the test's servers, with the rights in the database that the template gives it."""
    own = Database(database_address, service=LEDGER)
    monkeypatch.setattr(wiring, "database", lambda: own)
    monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)
    yield
    own.close()


@pytest.fixture
def events(database: Database) -> MoneyEvents:
    return MoneyEvents(new_merchant(database))


def call(*events: Event | bytes) -> dict[str, int]:
    bodies = [event if isinstance(event, bytes) else orjson.dumps(event.envelope()) for event in events]
    return ledger.handler(rmq_event("ledger", bodies), None)  # type: ignore[arg-type]


def dead(vhost: Vhost) -> list[Any]:
    return asyncio.run(take_all(vhost.amqp_url, "payments.dead"))


class TestHandler:
    def test_a_batch_is_posted_and_counted_and_its_redelivery_changes_nothing(
        self, database: Database, events: MoneyEvents
    ) -> None:
        batch = [events.succeeded("10.00"), events.refunded("4.00"), events.failed()]
        assert call(*batch) == {"messages": 3, "posted": 2, "repeated": 0, "locked": 0, "poison": 0}
        assert call(*batch) == {"messages": 3, "posted": 0, "repeated": 2, "locked": 0, "poison": 0}
        assert balances(database, events.merchant_id) == {("available", "EUR"): 600}

    def test_cloudwatch_is_told_what_is_new(self, events: MoneyEvents, caplog: pytest.LogCaptureFixture) -> None:
        batch = [events.succeeded("10.00"), events.succeeded("3.00", type="capture", authorized="5.00")]
        call(*batch)
        call(*batch)
        assert metrics_of(caplog.records) == {
            ("JournalsPosted", of("test")): [2],
            ("TransfersPosted", of("test")): [3],
        }

    def test_poison_is_dead_lettered_with_its_reason_and_the_others_are_posted(
        self, database: Database, events: MoneyEvents, vhost: Vhost
    ) -> None:
        good, command = events.succeeded("1.00"), replace(events.succeeded("1.00"), sequence=None)
        unreadable, unknown = events.succeeded("much"), replace(events.failed(), type="payment.exploded")
        done = call(b"{", command, unreadable, unknown, good)
        assert (done["poison"], done["posted"]) == (4, 1)
        reasons = [one.headers["x-paybridge-reason"] for one in dead(vhost)]
        for reason in ("a command is no fact", "an amount is missing or malformed", "unknown type"):
            assert any(reason in each for each in reasons)
        assert balances(database, events.merchant_id) == {("available", "EUR"): 100}

    def test_what_the_database_refuses_is_dead_lettered(
        self, database: Database, events: MoneyEvents, vhost: Vhost
    ) -> None:
        refused = replace(events, currency="XTS").succeeded("1.00")
        database.run(REFUSE)
        try:
            done = call(refused, events.succeeded("1.00"))
        finally:
            database.run(REFUSE_NO_MORE)
        assert (done["poison"], done["posted"]) == (1, 1)
        (letter,) = dead(vhost)
        assert letter.headers["x-paybridge-reason"] == "ConstraintViolated"

    def test_a_locked_event_returns_to_its_queue(
        self, database: Database, database_address: DatabaseAddress, events: MoneyEvents, vhost: Vhost
    ) -> None:
        other = MoneyEvents(new_merchant(database), currency="SEK")
        call(events.payout("created", "1.00"), other.payout("created", "1.00"))
        locked, free = events.payout("failed", "1.00"), other.payout("failed", "1.00")
        with held(database_address, f"SELECT FROM ledger.accounts WHERE owner = '{events.merchant_id}' FOR UPDATE"):
            done = call(locked, free)
        assert (done["locked"], done["poison"], done["posted"]) == (1, 0, 1)
        (returned,) = asyncio.run(take_all(vhost.amqp_url, "ledger"))
        assert orjson.loads(returned.body)["id"] == str(locked.id)

    def test_an_invocation_of_another_kind_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            ledger.handler({"Records": []}, None)  # type: ignore[arg-type]
