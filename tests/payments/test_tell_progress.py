"""Endpoints that follow payments on their way get each step, in whatever way a payment leaves `pending`."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.payments.answer_reviews import Reviewer, ReviewServices, answer_review, expire_reviews
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.records import OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.webhooks.create_endpoint import EndpointOrder, create_endpoint
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

CREATED, PROCESSING = "payment.created", "payment.processing"
STAFF = Reviewer("operator key 1", None)
DAY_SECONDS = 86_400


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    """A merchant with an endpoint that follows progress."""
    merchant_id = new_merchant(database)
    order = EndpointOrder(url="https://a.example/x", events=("payment.*",))
    assert create_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, order) is not None
    return merchant_id


def put(database: Database, merchant_id: uuid.UUID, action: str) -> None:
    rules = [{"id": f"the-{action}", "action": action, "when": {}}]
    replace_fraud_rules(database, MovableClock(), merchant_id, rules, "a test")


def run(database: Database, payment_id: uuid.UUID) -> None:
    asyncio.run(run_operations(engine_services(database, RecordingGateway()), [OperationOrder(payment_id, 1)]))


def held(database: Database, merchant_id: uuid.UUID) -> uuid.UUID:
    """A payment that screening holds back."""
    put(database, merchant_id, "review")
    payment_id = new_payment(database, merchant_id)
    run(database, payment_id)
    return payment_id


def services(database: Database, ahead_seconds: float = 0) -> ReviewServices:
    clock = MovableClock()
    clock.move(ahead_seconds)
    return ReviewServices(database, clock, Uuid7Ids())


def answer(database: Database, payment_id: uuid.UUID, given: ReviewAnswer) -> None:
    assert isinstance(answer_review(services(database), payment_id, given, STAFF, key=str(uuid.uuid4())), Answered)


def cancel(database: Database, merchant_id: uuid.UUID, payment_id: uuid.UUID) -> None:
    keyed = Keyed(merchant_id, cancel_operation(payment_id), IdempotentRequest(str(uuid.uuid4()), bytes(32)))
    names: dict[str, Any] = {"keyed": keyed, "payment_id": payment_id, "reason": None, "correlation_id": "corr"}
    assert isinstance(cancel_payment(database, SystemClock(), Uuid7Ids(), **names), Answered)


def status(database: Database, payment_id: uuid.UUID) -> str:
    found: str = payment_row(database, payment_id)["status"]
    return found


def sent(database: Database, payment_id: uuid.UUID) -> list[str]:
    """The types of the events that commands bring to the webhooks function at once, in the order of their writing."""
    found = outbox_rows(database, payment_id)
    types = {row["id"]: row["type"] for row in found}
    commands = [row for row in found if row["type"] == "command.deliver_webhook"]
    assert {row["routing_key"] for row in commands} <= {"webhooks"}
    assert all(row["published_at"] is None and row["exchange"] == "payments" for row in commands)
    return [types[json.loads(row["body"])["data"]["event_id"]] for row in commands]


class TestLeavingPending:
    def test_by_its_charge(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = new_payment(database, merchant_id)
        assert sent(database, payment_id) == []
        run(database, payment_id)
        assert (status(database, payment_id), sent(database, payment_id)) == ("succeeded", [CREATED, PROCESSING])

    def test_blocked_by_a_fraud_rule(self, database: Database, merchant_id: uuid.UUID) -> None:
        put(database, merchant_id, "block")
        payment_id = new_payment(database, merchant_id)
        run(database, payment_id)
        assert (status(database, payment_id), sent(database, payment_id)) == ("failed", [CREATED])

    def test_held_for_a_review(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        assert (status(database, payment_id), sent(database, payment_id)) == ("review", [CREATED])

    def test_canceled_before_it_begins(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = new_payment(database, merchant_id)
        cancel(database, merchant_id, payment_id)
        assert (status(database, payment_id), sent(database, payment_id)) == ("canceled", [CREATED])


class TestLeavingReview:
    """Its creation was sent when the payment was held."""

    def test_approved(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        answer(database, payment_id, ReviewAnswer.APPROVED)
        assert (status(database, payment_id), sent(database, payment_id)) == ("processing", [CREATED, PROCESSING])

    def test_approved_by_its_expiry(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        assert expire_reviews(services(database, 30 * DAY_SECONDS), ReviewAnswer.APPROVED) >= 1
        assert (status(database, payment_id), sent(database, payment_id)) == ("processing", [CREATED, PROCESSING])

    def test_rejected(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        answer(database, payment_id, ReviewAnswer.REJECTED)
        assert (status(database, payment_id), sent(database, payment_id)) == ("failed", [CREATED])

    def test_canceled(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        cancel(database, merchant_id, payment_id)
        assert (status(database, payment_id), sent(database, payment_id)) == ("canceled", [CREATED])


class TestOtherMerchants:
    def test_nothing_is_sent_for_a_merchant_without_such_an_endpoint(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        order = EndpointOrder(url="https://a.example/x", events=("payment.succeeded",))
        assert create_endpoint(database, SystemClock(), Uuid7Ids(), merchant_id, order) is not None
        charged, canceled = (new_payment(database, merchant_id) for _ in range(2))
        run(database, charged)
        cancel(database, merchant_id, canceled)
        approved = held(database, merchant_id)
        answer(database, approved, ReviewAnswer.APPROVED)
        assert [sent(database, payment_id) for payment_id in (charged, canceled, approved)] == [[], [], []]

    def test_payments_of_several_merchants_in_one_batch(self, database: Database, merchant_id: uuid.UUID) -> None:
        followed, other = new_payment(database, merchant_id), new_payment(database, new_merchant(database))
        orders = [OperationOrder(payment_id, 1) for payment_id in (other, followed)]
        asyncio.run(run_operations(engine_services(database, RecordingGateway()), orders))
        assert (sent(database, followed), sent(database, other)) == ([CREATED, PROCESSING], [])
