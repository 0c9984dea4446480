"""Refunds are reserved in the payment: concurrent refunds never exceed what was captured."""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import orjson
import pytest

from local.testkit.locks import patient_database
from local.testkit.payments import captured_payment, new_merchant, operation_rows, outbox_rows, payment_row
from paybridge.core.clock import SystemClock
from paybridge.core.errors import InvalidInput, LockTimeout
from paybridge.core.ids import Ids, Uuid7Ids
from paybridge.core.money import to_minor
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import (
    Answered,
    AnswerExpired,
    IdempotentRequest,
    Keyed,
    KeyedOutcome,
    KeyInFlight,
    KeyReused,
)
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder

pytestmark = pytest.mark.integration

THREADS = 50
# More rounds find what happens seldom; these take seconds.
ROUNDS = int(os.environ.get("PAYBRIDGE_TEST_REFUND_ROUNDS", "40"))

_EXPIRE = Statement("UPDATE idempotency_keys SET response_body = NULL WHERE resource_id = :id::uuid")
_TAKE_KEY = Statement("""
    INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, created_at)
    VALUES (:merchant_id::uuid, :operation::text, 'taken', sha256('x'), gen_random_uuid(), 202, now())
""")
_LOCK = Statement("SELECT id FROM payments WHERE id = :id::uuid FOR UPDATE")
_LOCK_TIMEOUT = Statement("SELECT set_config('lock_timeout', '100ms', false)")


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Any:
    with closing(Database(database_address)) as connection:
        yield connection


@pytest.fixture
def payment(database: Database) -> tuple[uuid.UUID, uuid.UUID]:
    """A merchant and its captured payment of 100.00 EUR."""
    merchant_id = new_merchant(database)
    return merchant_id, captured_payment(database, merchant_id)


def refund(
    database: Database,
    payment: tuple[uuid.UUID, uuid.UUID],
    amount: str | None = None,
    *,
    key: str | None = None,
    fingerprint: bytes = bytes(32),
    ids: Ids | None = None,
    **order: Any,
) -> KeyedOutcome | OrderRefusal | None:
    merchant_id, payment_id = payment
    request = IdempotentRequest(key or str(uuid.uuid4()), fingerprint)
    return create_refund(
        database,
        SystemClock(),
        ids or Uuid7Ids(),
        keyed=Keyed(merchant_id, refund_operation(payment_id), request),
        payment_id=payment_id,
        order=RefundOrder(amount=amount, **order),
        correlation_id="corr",
    )


def body_of(outcome: KeyedOutcome | OrderRefusal | None) -> dict[str, Any]:
    assert isinstance(outcome, Answered), outcome
    view: dict[str, Any] = orjson.loads(outcome.body)
    return view


def amounts(database: Database, payment: tuple[uuid.UUID, uuid.UUID]) -> tuple[int, int, int]:
    row = payment_row(database, payment[1])
    return row["captured_minor"], row["refunded_minor"], row["refunding_minor"]


class TestOneRefund:
    def test_is_accepted_reserved_told_and_ordered(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        before = payment_row(database, payment[1])
        view = body_of(refund(database, payment, "30.00", reason="Damaged", metadata={"return": "7"}))
        _, payment_id = payment
        assert {**view, "created_at": "", "updated_at": ""} == {
            "refund_id": view["refund_id"],
            "payment_id": str(payment_id),
            "status": "pending",
            "amount": "30.00",
            "currency": "EUR",
            "reason": "Damaged",
            "metadata": {"return": "7"},
            "failure_code": None,
            "created_at": "",
            "updated_at": "",
        }
        assert amounts(database, payment) == (10_000, 0, 3_000)
        after = payment_row(database, payment_id)
        assert (after["status"], after["version"]) == ("succeeded", before["version"] + 1)
        [operation] = operation_rows(database, payment_id)
        assert operation["id"] == view["refund_id"]
        expected = {"kind": "refund", "cause": "merchant", "status": "accepted", "gateway": "default"}
        assert {name: operation[name] for name in expected} == expected
        assert (operation["amount_minor"], operation["last_sequence"]) == (3_000, 1)
        event, command = outbox_rows(database, payment_id)[-2:]
        assert (event["type"], event["subject_type"], event["subject_id"]) == (
            "refund.created",
            "refund",
            view["refund_id"],
        )
        assert event["sequence"] == 1
        assert orjson.loads(event["body"])["data"] == view
        assert (command["type"], command["routing_key"]) == ("command.process_payment", "payments.new")
        assert orjson.loads(command["body"])["data"] == {
            "payment_id": str(payment_id),
            "operation_id": view["refund_id"],
            "attempt": 1,
            "ask": 0,
        }

    def test_without_an_amount_takes_what_is_left_at_that_moment(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        refund(database, payment, "30.00")
        assert body_of(refund(database, payment))["amount"] == "70.00"
        assert amounts(database, payment) == (10_000, 0, 10_000)
        outcome = refund(database, payment)
        assert isinstance(outcome, OrderRefusal)
        assert outcome.code == "payment_not_refundable"

    def test_above_what_is_left_names_what_is(self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]) -> None:
        refund(database, payment, "60.00")
        outcome = refund(database, payment, "40.01")
        assert isinstance(outcome, OrderRefusal)
        assert (outcome.code, outcome.field_name) == ("amount_exceeds_refundable", "amount")
        assert outcome.members == {"refundable": "40.00"}
        assert amounts(database, payment) == (10_000, 0, 6_000)

    @pytest.mark.parametrize(
        ("amount", "code"),
        [("30", "amount_places"), ("0.00", "amount_not_positive"), ("-1.00", "amount_malformed")],
    )
    def test_needs_an_amount_of_the_currency(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID], amount: str, code: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            refund(database, payment, amount)
        assert caught.value.code == code

    def test_counts_in_the_places_that_the_currency_had(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payment_id = captured_payment(database, merchant_id, amount_minor=5_000, currency="UGX")
        database.run(Statement("UPDATE payments SET currency_places = 2 WHERE id = :id::uuid"), id=payment_id)
        assert body_of(refund(database, (merchant_id, payment_id), "12.34"))["amount"] == "12.34"
        with pytest.raises(InvalidInput):
            refund(database, (merchant_id, payment_id), "12")

    def test_of_another_merchant_is_not_found(self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]) -> None:
        assert refund(database, (new_merchant(database), payment[1]), "1.00") is None
        assert amounts(database, payment) == (10_000, 0, 0)


class TestKeys:
    def test_the_same_request_gets_the_same_answer_and_reserves_once(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        first, again = (refund(database, payment, "30.00", key="once") for _ in range(2))
        assert isinstance(first, Answered)
        assert isinstance(again, Answered)
        assert (again.body, first.replayed, again.replayed) == (first.body, False, True)
        assert amounts(database, payment) == (10_000, 0, 3_000)

    def test_another_request_is_refused(self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]) -> None:
        first = body_of(refund(database, payment, "30.00", key="reused"))
        other = refund(database, payment, "20.00", key="reused", fingerprint=b"1" * 32)
        assert other == KeyReused(uuid.UUID(first["refund_id"]))

    def test_the_answer_outlives_what_is_left(self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]) -> None:
        first = refund(database, payment, key="all")
        again = refund(database, payment, key="all")
        assert isinstance(first, Answered)
        assert isinstance(again, Answered)
        assert again.body == first.body

    def test_an_old_answer_is_expired_and_the_key_stays_taken(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        first = refund(database, payment, "30.00", key="old")
        assert isinstance(first, Answered)
        database.run(_EXPIRE, id=first.resource_id)
        assert refund(database, payment, "30.00", key="old") == AnswerExpired(first.resource_id)
        assert amounts(database, payment) == (10_000, 0, 3_000)

    def test_a_refused_request_does_not_use_its_key_up(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        assert isinstance(refund(database, payment, "100.01", key="corrected"), OrderRefusal)
        assert body_of(refund(database, payment, "100.00", key="corrected"))["amount"] == "100.00"

    def test_a_key_is_for_the_refunds_of_one_payment(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        other = (payment[0], captured_payment(database, payment[0]))
        first, second = (body_of(refund(database, one, "10.00", key="shared")) for one in (payment, other))
        assert first["refund_id"] != second["refund_id"]

    def test_a_key_that_another_request_is_taking_is_in_flight(
        self, database: Database, database_address: DatabaseAddress, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        with closing(Database(database_address)) as other, other.transaction() as transaction:
            transaction.run(_TAKE_KEY, merchant_id=payment[0], operation=refund_operation(payment[1]))
            with closing(Database(database_address)) as connection:
                connection.run(_LOCK_TIMEOUT)
                assert refund(connection, payment, "30.00", key="taken") == KeyInFlight()
        assert amounts(database, payment) == (10_000, 0, 0)


class InterferingIds(Uuid7Ids):
    """Lets another refund come between each of the first tries: after the payment was read, before it is changed."""

    def __init__(self, interfere: Callable[[], object], times: int) -> None:
        self._interfere = interfere
        self._left = times

    def new(self) -> uuid.UUID:
        if self._left > 0:
            self._left -= 1
            self._interfere()
        return super().new()


class TestTheRest:
    def test_is_what_is_left_however_many_refunds_come_between(
        self, database: Database, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        others = 60
        ids = InterferingIds(lambda: refund(database, payment, "0.01"), others)
        assert body_of(refund(database, payment, ids=ids))["amount"] == "99.40"
        assert amounts(database, payment) == (10_000, 0, 10_000)
        assert len(operation_rows(database, payment[1])) == others + 1


class TestALockedPayment:
    def test_is_a_reason_to_try_again_with_the_same_key(
        self, database: Database, database_address: DatabaseAddress, payment: tuple[uuid.UUID, uuid.UUID]
    ) -> None:
        with closing(Database(database_address)) as connection:
            connection.run(_LOCK_TIMEOUT)
            with closing(Database(database_address)) as other, other.transaction() as transaction:
                transaction.run(_LOCK, id=payment[1])
                with pytest.raises(LockTimeout):
                    refund(connection, payment, "30.00", key="again")
            assert body_of(refund(connection, payment, "30.00", key="again"))["amount"] == "30.00"
        assert amounts(database, payment) == (10_000, 0, 3_000)


class Environments:
    """As many environments of the API, each with a connection, that ask at the same moment."""

    def __init__(self, address: DatabaseAddress) -> None:
        self._connections = [patient_database(address) for _ in range(THREADS)]
        self._pool = ThreadPoolExecutor(THREADS)

    def ask(
        self, payment: tuple[uuid.UUID, uuid.UUID], amounts: list[str | None], key: str | None = None
    ) -> list[KeyedOutcome | OrderRefusal | None]:
        """Ask for a refund of each amount at once, by default each under a new key."""
        start = threading.Barrier(len(amounts))

        def ask(connection: Database, amount: str | None) -> KeyedOutcome | OrderRefusal | None:
            start.wait()
            return refund(connection, payment, amount, key=key)

        return list(self._pool.map(ask, self._connections, amounts))

    def close(self) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()


@pytest.fixture(scope="module")
def environments(database_address: DatabaseAddress) -> Iterator[Environments]:
    found = Environments(database_address)
    yield found
    found.close()


@pytest.mark.timeout(900)
class TestAtOnce:
    def test_fifty_refunds_of_most_of_the_money_are_one_refund(
        self, database: Database, environments: Environments
    ) -> None:
        merchant_id = new_merchant(database)
        for _ in range(ROUNDS):
            payment = merchant_id, captured_payment(database, merchant_id)
            outcomes = environments.ask(payment, ["60.00"] * THREADS)
            refused = [outcome for outcome in outcomes if isinstance(outcome, OrderRefusal)]
            assert len(refused) == THREADS - 1
            assert {(refusal.code, *refusal.members.values()) for refusal in refused} == {
                ("amount_exceeds_refundable", "40.00")
            }
            assert amounts(database, payment) == (10_000, 0, 6_000)
            assert [row["amount_minor"] for row in operation_rows(database, payment[1])] == [6_000]

    def test_fifty_requests_with_one_key_are_one_refund(self, database: Database, environments: Environments) -> None:
        merchant_id = new_merchant(database)
        for _ in range(ROUNDS // 4):
            payment = merchant_id, captured_payment(database, merchant_id)
            outcomes = environments.ask(payment, ["10.00"] * THREADS, key="same")
            assert len({outcome.body for outcome in outcomes if isinstance(outcome, Answered)}) == 1
            assert Counter(outcome.replayed for outcome in outcomes if isinstance(outcome, Answered)) == {
                False: 1,
                True: THREADS - 1,
            }
            assert amounts(database, payment) == (10_000, 0, 1_000)

    def test_what_is_reserved_is_what_was_accepted_and_never_more_than_captured(
        self, database: Database, environments: Environments
    ) -> None:
        """Of any amounts the sum is exact. Those who want all that is left leave nothing."""
        merchant_id = new_merchant(database)
        chosen = random.Random(1)
        for _ in range(ROUNDS // 4):
            payment = merchant_id, captured_payment(database, merchant_id)
            wanted = [None, *chosen.choices([None, "0.01", "3.00", "30.00", "99.99"], k=THREADS - 1)]
            outcomes = environments.ask(payment, wanted)
            accepted = [body_of(outcome) for outcome in outcomes if isinstance(outcome, Answered)]
            taken = sorted(to_minor(view["amount"], "EUR") for view in accepted)
            assert sum(taken) == 10_000
            assert amounts(database, payment) == (10_000, 0, 10_000)
            assert sorted(row["amount_minor"] for row in operation_rows(database, payment[1])) == taken
