"""A capture or a cancellation begins in one statement, and only one of those that are asked for at once does."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from typing import Any

import orjson
import pytest

from local.testkit.locks import patient_database
from local.testkit.payments import (
    MovableClock,
    authorized_payment,
    captured_payment,
    new_merchant,
    new_payment,
    operation_rows,
    outbox_rows,
    payment_row,
)
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed, KeyedOutcome, KeyReused
from paybridge.payments.records import OperationOrder
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.store import queries as payment_queries
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

THREADS = 20
ROUNDS = 30

Ids = tuple[uuid.UUID, uuid.UUID]
Outcome = KeyedOutcome | OrderRefusal | None

_SET_STATUS = Statement("""
    UPDATE payments SET status = :status::text,
        failure_code = CASE :status::text WHEN 'failed' THEN 'card_declined' END WHERE id = :id::uuid
""")
_NUMBER_AN_EVENT = Statement("UPDATE payments SET last_sequence = last_sequence + 1 WHERE id = :id::uuid")


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as connection:
        yield connection


@pytest.fixture
def authorized(database: Database) -> Ids:
    """A merchant and its payment of 100.00 EUR that waits for its capture."""
    merchant_id = new_merchant(database)
    return merchant_id, authorized_payment(database, merchant_id)


def capture(
    database: Database,
    payment: Ids,
    amount: str | None = None,
    *,
    key: str = "",
    fingerprint: bytes = bytes(32),
    clock: Any = None,
) -> Outcome:
    request = IdempotentRequest(key or str(uuid.uuid4()), fingerprint)
    return capture_payment(
        database,
        clock or SystemClock(),
        Uuid7Ids(),
        keyed=Keyed(payment[0], capture_operation(payment[1]), request),
        payment_id=payment[1],
        amount=amount,
        correlation_id="corr",
    )


def cancel(
    database: Database, payment: Ids, reason: str | None = None, *, key: str = "", fingerprint: bytes = bytes(32)
) -> Outcome:
    request = IdempotentRequest(key or str(uuid.uuid4()), fingerprint)
    return cancel_payment(
        database,
        SystemClock(),
        Uuid7Ids(),
        keyed=Keyed(payment[0], cancel_operation(payment[1]), request),
        payment_id=payment[1],
        reason=reason,
        correlation_id="corr",
    )


def view_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Answered), outcome
    view: dict[str, Any] = orjson.loads(outcome.body)
    return view


def code_of(outcome: Outcome) -> str:
    assert isinstance(outcome, OrderRefusal), outcome
    return outcome.code


def commands(database: Database, payment: Ids) -> list[dict[str, Any]]:
    found = outbox_rows(database, payment[1])
    return [orjson.loads(row["body"])["data"] for row in found if row["type"] == "command.process_payment"]


class TestCapture:
    @pytest.mark.parametrize(("amount", "shown", "left"), [(None, "100.00", "0.00"), ("80.00", "80.00", "20.00")])
    def test_reserves_the_amount_and_orders_the_operation(
        self, database: Database, authorized: Ids, amount: str | None, shown: str, left: str
    ) -> None:
        view = view_of(capture(database, authorized, amount))
        pending = view["pending_operation"]
        assert (view["status"], view["amount_captured"], view["amount_capturable"]) == (
            "requires_capture",
            "0.00",
            left,
        )
        assert (pending["type"], pending["amount"]) == ("capture", shown)
        [operation] = operation_rows(database, authorized[1])
        assert operation["id"] == pending["operation_id"]
        assert (operation["kind"], operation["status"], operation["cause"]) == ("capture", "accepted", "merchant")
        row = payment_row(database, authorized[1])
        assert row["capturing_minor"] == operation["amount_minor"]
        assert row["pending_operation_id"] == operation["id"]
        assert [command["operation_id"] for command in commands(database, authorized)] == [operation["id"]]

    def test_the_answer_is_the_payment_as_it_is_read(self, database: Database, authorized: Ids) -> None:
        from paybridge.payments.domain.payment import payment_view
        from paybridge.payments.read import read_payment

        view = view_of(capture(database, authorized))
        payment = read_payment(database, *authorized)
        assert payment is not None
        assert payment_view(payment) == view

    def test_above_what_was_authorized_names_what_was(self, database: Database, authorized: Ids) -> None:
        outcome = capture(database, authorized, "100.01")
        assert code_of(outcome) == "amount_exceeds_capturable"
        assert isinstance(outcome, OrderRefusal)
        assert outcome.members == {"capturable": "100.00"}
        assert operation_rows(database, authorized[1]) == []

    def test_after_expiry_says_when(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, authorized_payment(database, merchant_id, capture_seconds=60)
        outcome = capture(database, payment, clock=MovableClock(timedelta(seconds=61)))
        assert code_of(outcome) == "payment_not_capturable"
        assert isinstance(outcome, OrderRefusal)
        expired_at = payment_row(database, payment[1])["capture_before"][:19]
        assert f"expired at {expired_at}" in outcome.detail
        assert view_of(capture(database, payment, clock=MovableClock(timedelta(seconds=50))))

    def test_a_second_one_waits_for_the_first(self, database: Database, authorized: Ids) -> None:
        capture(database, authorized, "10.00")
        assert code_of(capture(database, authorized, "10.00")) == "operation_in_progress"
        assert len(operation_rows(database, authorized[1])) == 1

    @pytest.mark.parametrize("status", ["processing", "failed"])
    def test_only_of_what_is_held(self, database: Database, status: str) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, new_payment(database, merchant_id, capture="manual")
        assert code_of(capture(database, payment)) == "payment_not_capturable"
        database.run(_SET_STATUS, id=payment[1], status="processing")
        database.run(_SET_STATUS, id=payment[1], status=status)
        assert code_of(capture(database, payment)) == "payment_not_capturable"

    def test_a_repeated_request_gets_the_same_answer(self, database: Database, authorized: Ids) -> None:
        first = capture(database, authorized, "80.00", key="k")
        again = capture(database, authorized, "80.00", key="k")
        assert isinstance(again, Answered)
        assert (view_of(again), again.replayed) == (view_of(first), True)
        assert capture(database, authorized, "70.00", key="k", fingerprint=b"1" * 32) == KeyReused(authorized[1])
        # A key for captures is free for cancellations.
        assert code_of(cancel(database, authorized, key="k")) == "operation_in_progress"

    def test_of_another_merchant_is_not_found(self, database: Database, authorized: Ids) -> None:
        stranger = new_merchant(database), authorized[1]
        assert capture(database, stranger) is None
        assert cancel(database, stranger) is None


class TestCancel:
    def test_what_is_held_is_released_by_the_gateway(self, database: Database, authorized: Ids) -> None:
        view = view_of(cancel(database, authorized, "Out of stock"))
        pending = view["pending_operation"]
        assert (view["status"], pending["type"], pending["amount"]) == ("requires_capture", "cancel", "100.00")
        [operation] = operation_rows(database, authorized[1])
        assert operation["id"] == pending["operation_id"]
        expected = {"kind": "void", "status": "accepted", "amount_minor": 10_000, "reason": "Out of stock"}
        assert {name: operation[name] for name in expected} == expected
        assert [command["operation_id"] for command in commands(database, authorized)] == [operation["id"]]

    @pytest.mark.parametrize("status", ["pending", "review"])
    def test_what_was_not_charged_is_canceled_at_once(self, database: Database, status: str) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, new_payment(database, merchant_id)
        database.run(_SET_STATUS, id=payment[1], status=status)
        database.run(_NUMBER_AN_EVENT, id=payment[1])
        view = view_of(cancel(database, payment, "Changed my mind", key="k"))
        assert (view["status"], view["pending_operation"]) == ("canceled", None)
        assert (view["failure_code"], view["failure_message"]) == (None, "Changed my mind")
        row = payment_row(database, payment[1])
        assert (row["status"], row["last_sequence"]) == ("canceled", 3)
        event = outbox_rows(database, payment[1])[-1]
        assert (event["type"], event["sequence"], event["exchange"]) == ("payment.canceled", 3, "payments.events")
        assert orjson.loads(event["body"])["data"] == {**view, "operation": None}
        assert operation_rows(database, payment[1]) == []
        again = cancel(database, payment, "Changed my mind", key="k")
        assert isinstance(again, Answered)
        assert (view_of(again), again.replayed) == (view, True)
        assert code_of(cancel(database, payment)) == "payment_not_cancelable"

    def test_a_charge_under_way_is_never_canceled(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, new_payment(database, merchant_id)
        database.run(_SET_STATUS, id=payment[1], status="processing")
        assert code_of(cancel(database, payment)) == "operation_in_progress"
        assert payment_row(database, payment[1])["status"] == "processing"

    def test_a_charge_that_begins_after_the_payment_was_read_is_not_canceled(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, new_payment(database, merchant_id)
        read = payment_queries.get

        def read_and_be_overtaken(*arguments: Any) -> Any:
            found = read(*arguments)
            services = engine_services(database, RecordingGateway())
            start_attempts(services, [OperationOrder(payment[1], 1)], GatewayWatch())
            return found

        monkeypatch.setattr(payment_queries, "get", read_and_be_overtaken)
        answer = cancel(database, payment)
        assert isinstance(answer, OrderRefusal)
        assert answer.code == "operation_in_progress"
        assert payment_row(database, payment[1])["status"] == "processing"

    def test_what_was_taken_is_not_canceled(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, captured_payment(database, merchant_id)
        assert code_of(cancel(database, payment)) == "payment_not_cancelable"
        assert code_of(capture(database, payment)) == "payment_not_capturable"


class TestAtOnce:
    def test_of_twenty_captures_and_cancellations_one_begins(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        merchant_id = new_merchant(database)
        connections = [patient_database(database_address) for _ in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in range(ROUNDS):
                payment = merchant_id, authorized_payment(database, merchant_id)
                start = threading.Barrier(THREADS)

                def ask(number: int, payment: Ids = payment, start: threading.Barrier = start) -> Outcome:
                    start.wait()
                    return (capture if number % 2 else cancel)(connections[number], payment)

                outcomes = list(pool.map(ask, range(THREADS)))
                [winner] = [view_of(outcome) for outcome in outcomes if isinstance(outcome, Answered)]
                assert {code_of(outcome) for outcome in outcomes if isinstance(outcome, OrderRefusal)} == {
                    "operation_in_progress"
                }
                [operation] = operation_rows(database, payment[1])
                assert winner["pending_operation"]["operation_id"] == operation["id"]
                assert len(commands(database, payment)) == 1
        for connection in connections:
            connection.close()

    def test_of_twenty_cancellations_of_what_was_not_charged_one_is_told(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        merchant_id = new_merchant(database)
        payment = merchant_id, new_payment(database, merchant_id)
        connections = [patient_database(database_address) for _ in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = list(pool.map(lambda connection: cancel(connection, payment), connections))
        for connection in connections:
            connection.close()
        assert len([outcome for outcome in outcomes if isinstance(outcome, Answered)]) == 1
        types = [row["type"] for row in outbox_rows(database, payment[1])]
        assert types == ["payment.created", "payment.canceled"]
