"""A batch of payments is accepted in one transaction, by the keys that HTTP uses as well."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import pytest

from local.testkit.locks import PATIENCE_SECONDS, held, patient_database
from local.testkit.payments import new_merchant, outbox_rows, payment_row
from paybridge.core.clock import SystemClock
from paybridge.core.errors import LockTimeout
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.create import OPERATION, create_payment
from paybridge.payments.create_many import BatchOutcome, KeyedOrder, MerchantUnknown, create_payments
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.idempotency import Answered, AnswerExpired, IdempotentRequest, KeyedOutcome, KeyReused
from paybridge.payments.store import accepted_payments

pytestmark = pytest.mark.integration

COUNT = Statement("SELECT count(*)::integer FROM payments WHERE merchant_id = :id::uuid")
EXPIRE = Statement("UPDATE idempotency_keys SET response_body = NULL WHERE merchant_id = :id::uuid")
TAKE_KEY = """
    INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, response_body,
                                  created_at)
    VALUES (:merchant_id::uuid, :operation::text, :key::text, sha256('raced'), gen_random_uuid(), 202, '{}', now())
"""


@pytest.fixture
def merchant(database: Database) -> UUID:
    return new_merchant(database)


def ordered(merchant_id: UUID, key: str, *, written: str = "", **changes: Any) -> KeyedOrder:
    """An order of 100.50 EUR under this key; `written` stands for other bytes of it."""
    order = PaymentOrder(**{"amount_minor": 10050, "currency": "EUR", **changes})
    request = IdempotentRequest(key, hashlib.sha256((written or repr(order)).encode()).digest())
    return KeyedOrder(merchant_id, order, request, f"corr-{key}")


def created(database: Database, *orders: KeyedOrder) -> list[BatchOutcome]:
    return create_payments(database, SystemClock(), Uuid7Ids(), orders)


def by_http(database: Database, one: KeyedOrder) -> KeyedOutcome:
    return create_payment(
        database,
        SystemClock(),
        Uuid7Ids(),
        merchant_id=one.merchant_id,
        order=one.order,
        request=one.request,
        correlation_id=one.correlation_id,
    )


def count(database: Database, merchant_id: UUID) -> int:
    found: int = database.run(COUNT, id=merchant_id)[0][0]
    return found


class TestCreatePayments:
    def test_the_rows_are_those_of_a_payment_by_http(self, database: Database, merchant: UUID) -> None:
        members = {
            "description": 'Ünï "quoted" \\',
            "metadata": {"a": "b", "z": "", "ä": '"'},
            "webhook_url": "https://example.com/hook",
            "customer": "c-1",
            "payment_method": "tok_success",
            "capture": "manual",
        }
        outcomes = [
            by_http(database, ordered(merchant, "by-http", **members)),
            *created(database, ordered(merchant, "by-message", **members)),
        ]
        rows = []
        for outcome in outcomes:
            assert isinstance(outcome, Answered)
            payment, (event,) = payment_row(database, outcome.resource_id), outbox_rows(database, outcome.resource_id)
            assert event["sequence"] == 1
            assert not outcome.replayed
            same = {name: event[name] for name in ("type", "exchange", "routing_key", "merchant_id", "subject_type")}
            own = {"id", "created_at", "updated_at", "correlation_id"}
            rows.append(({name: value for name, value in payment.items() if name not in own}, same))
        assert rows[0] == rows[1]

    def test_every_order_of_a_batch_has_its_own_payment(self, database: Database, merchant: UUID) -> None:
        outcomes = created(
            database, *(ordered(merchant, f"k-{number}", amount_minor=number) for number in range(1, 301))
        )
        amounts = []
        for outcome in outcomes:
            assert isinstance(outcome, Answered)
            amounts.append(payment_row(database, outcome.resource_id)["amount_minor"])
        assert amounts == [*range(1, 301)]

    def test_a_key_twice_in_a_batch_makes_one_payment(self, database: Database, merchant: UUID) -> None:
        one, same, other = created(
            database,
            ordered(merchant, "twice"),
            ordered(merchant, "twice", written="otherwise"),
            ordered(merchant, "twice", amount_minor=1),
        )
        assert isinstance(one, Answered)
        assert same == Answered(one.resource_id, 202, one.body, replayed=True)
        assert other == KeyReused(one.resource_id)
        assert count(database, merchant) == 1

    def test_the_first_of_many_orders_with_a_key_takes_it(self, database: Database, merchant: UUID) -> None:
        """PostgreSQL's sort may turn around what is equal."""
        keys = [f"k-{number % 3}" for number in range(300)]
        outcomes = created(
            database, *(ordered(merchant, key, amount_minor=number) for number, key in enumerate(keys, start=1))
        )
        amounts = [
            payment_row(database, outcome.resource_id)["amount_minor"]
            for outcome in outcomes
            if isinstance(outcome, Answered)
        ]
        assert amounts == [1, 2, 3]

    def test_a_key_that_http_used_makes_no_second_payment(self, database: Database, merchant: UUID) -> None:
        first = by_http(database, ordered(merchant, "shared"))
        assert isinstance(first, Answered)
        same, other = created(
            database,
            ordered(merchant, "shared", written="the message"),
            ordered(merchant, "shared", currency="USD"),
        )
        assert same == Answered(first.resource_id, 202, first.body, replayed=True)
        assert other == KeyReused(first.resource_id)

    def test_a_key_that_a_message_used_is_answered_by_http(self, database: Database, merchant: UUID) -> None:
        (first,) = created(database, ordered(merchant, "shared"))
        assert isinstance(first, Answered)
        repeated = by_http(database, ordered(merchant, "shared", written="by HTTP"))
        assert repeated == Answered(first.resource_id, 202, first.body, replayed=True)
        assert by_http(database, ordered(merchant, "shared", amount_minor=1)) == KeyReused(first.resource_id)

    def test_a_key_whose_answer_has_expired_makes_no_second_payment(self, database: Database, merchant: UUID) -> None:
        (first,) = created(database, ordered(merchant, "old"))
        assert isinstance(first, Answered)
        database.run(EXPIRE, id=merchant)
        assert created(database, ordered(merchant, "old")) == [AnswerExpired(first.resource_id)]

    def test_the_same_key_of_another_merchant_is_another_key(self, database: Database, merchant: UUID) -> None:
        other = new_merchant(database)
        created(database, ordered(merchant, "same"), ordered(other, "same"))
        assert (count(database, merchant), count(database, other)) == (1, 1)

    def test_a_merchant_that_does_not_exist_fails_no_other(self, database: Database, merchant: UUID) -> None:
        unknown, known = created(database, ordered(uuid4(), "k"), ordered(merchant, "k"))
        assert unknown == MerchantUnknown()
        assert isinstance(known, Answered)

    def test_a_key_in_flight_writes_nothing(
        self, database: Database, database_address: DatabaseAddress, merchant: UUID
    ) -> None:
        with (
            held(database_address, TAKE_KEY, merchant_id=merchant, operation=OPERATION, key="held"),
            pytest.raises(LockTimeout),
        ):
            created(database, ordered(merchant, "free"), ordered(merchant, "held"))
        assert count(database, merchant) == 0

    def test_the_same_keys_by_both_ways_at_once_make_one_payment_each(
        self,
        database_address: DatabaseAddress,
        database: Database,
        merchant: UUID,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(accepted_payments, "BATCH_LOCK_SECONDS_MAX", PATIENCE_SECONDS)
        keys = [f"raced-{number}" for number in range(40)]

        def post(order: list[str]) -> list[KeyedOutcome]:
            with closing(patient_database(database_address)) as own:
                return [by_http(own, ordered(merchant, key, written="http")) for key in order]

        def take(order: list[str]) -> list[BatchOutcome]:
            with closing(patient_database(database_address)) as own:
                return created(own, *(ordered(merchant, key, written="amqp") for key in order))

        with ThreadPoolExecutor(4) as pool:
            ways = [pool.submit(way, order) for way in (post, take) for order in (keys, keys[::-1])]
        answers = [outcome for way in ways for outcome in way.result()]
        assert [type(outcome) for outcome in answers] == [Answered] * len(answers)
        assert count(database, merchant) == len(keys)
