"""A payment in review is approved, rejected, canceled or expires: exactly one of these, however many come at once."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.locks import patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row, rows
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.payments.answer_reviews import (
    NoSuchPayment,
    NotInReview,
    Reviewer,
    ReviewOutcome,
    ReviewServices,
    answer_review,
    expire_reviews,
)
from paybridge.payments.domain.payment import Status
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.idempotency import Answered, KeyReused
from paybridge.payments.records import OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

APPROVED, REJECTED = ReviewAnswer.APPROVED, ReviewAnswer.REJECTED
STAFF = Reviewer("operator key 1", None)
DAY_SECONDS = 86400
_keys = itertools.count(1)


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    merchant_id = new_merchant(database)
    rules = [{"id": "all", "action": "review", "when": {}}]
    replace_fraud_rules(database, MovableClock(), merchant_id, rules, "a test")
    return merchant_id


def held(database: Database, merchant_id: uuid.UUID, **order: Any) -> uuid.UUID:
    """A payment that screening holds back."""
    payment_id = new_payment(database, merchant_id, **order)
    start_attempts(engine_services(database, RecordingGateway()), [OperationOrder(payment_id, 1)], GatewayWatch())
    assert payment_row(database, payment_id)["status"] == "review"
    return payment_id


def services(database: Database, ahead_seconds: float = 0) -> ReviewServices:
    clock = MovableClock()
    clock.move(ahead_seconds)
    return ReviewServices(database, clock, Uuid7Ids())


def give(
    database: Database,
    payment_id: uuid.UUID,
    answer: ReviewAnswer,
    reviewer: Reviewer = STAFF,
    key: str | None = None,
    note: str | None = None,
) -> ReviewOutcome:
    return answer_review(services(database), payment_id, answer, reviewer, key=key or f"key-{next(_keys)}", note=note)


def events(database: Database, payment_id: uuid.UUID) -> list[str]:
    return [row["type"] for row in outbox_rows(database, payment_id)]


def decision(database: Database, payment_id: uuid.UUID) -> dict[str, Any]:
    sql = "SELECT to_json(d) FROM fraud_decisions d WHERE payment_id = :id::uuid"
    return rows(database, sql, id=payment_id)[0]


class TestApprove:
    @pytest.mark.parametrize(("capture", "status"), [("automatic", "succeeded"), ("manual", "requires_capture")])
    def test_the_payment_is_charged_once(
        self, database: Database, merchant_id: uuid.UUID, capture: str, status: str
    ) -> None:
        payment_id = held(database, merchant_id, capture=capture)
        outcome = give(database, payment_id, APPROVED, note="Known customer.")
        assert isinstance(outcome, Answered)
        assert json.loads(outcome.body)["status"] == "processing"
        assert events(database, payment_id) == [
            "payment.created",
            "payment.review",
            "payment.processing",
            "command.process_payment",
        ]
        gateway = RecordingGateway()
        command = json.loads(outbox_rows(database, payment_id)[-1]["body"])["data"]
        order = OperationOrder(payment_id, command["attempt"], command["ask"], uuid.UUID(command["operation_id"]))
        for _ in range(2):
            asyncio.run(run_operations(engine_services(database, gateway), [order]))
        row = payment_row(database, payment_id)
        assert (row["status"], row["screening"]["decision"], gateway.calls) == (status, "review", [payment_id])
        answered = decision(database, payment_id)
        assert (answered["answer"], answered["actor"], answered["note"]) == (
            "approved",
            "operator key 1",
            "Known customer.",
        )

    def test_a_message_of_before_charges_nothing(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id, gateway = held(database, merchant_id), RecordingGateway()
        asyncio.run(run_operations(engine_services(database, gateway), [OperationOrder(payment_id, 1)]))
        assert gateway.calls == []


class TestReject:
    def test_the_payment_fails(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        give(database, payment_id, REJECTED, Reviewer("merchant key 7", merchant_id))
        row = payment_row(database, payment_id)
        assert (row["status"], row["failure_code"]) == ("failed", "review_rejected")
        assert events(database, payment_id) == ["payment.created", "payment.review", "payment.failed"]
        assert decision(database, payment_id)["actor"] == "merchant key 7"


class TestWhoAndWhat:
    def test_another_merchant_finds_nothing(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        stranger = Reviewer("merchant key 8", new_merchant(database))
        assert give(database, payment_id, APPROVED, stranger) == NoSuchPayment()
        assert give(database, uuid.uuid4(), APPROVED) == NoSuchPayment()
        assert payment_row(database, payment_id)["status"] == "review"

    def test_a_payment_that_is_not_in_review(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = new_payment(database, merchant_id)
        assert give(database, payment_id, REJECTED) == NotInReview(Status.PENDING)
        assert payment_row(database, payment_id)["status"] == "pending"

    def test_the_same_key_gets_the_same_answer(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id, other_id = held(database, merchant_id), held(database, merchant_id)
        first = give(database, payment_id, REJECTED, key="once", note="a")
        again = give(database, payment_id, REJECTED, key="once", note="a")
        assert isinstance(first, Answered)
        assert isinstance(again, Answered)
        assert (first.replayed, again.replayed, first.body) == (False, True, again.body)
        assert give(database, payment_id, REJECTED, key="once", note="b") == KeyReused(payment_id)
        assert give(database, other_id, REJECTED, key="once", note="a") == KeyReused(payment_id)
        assert payment_row(database, other_id)["status"] == "review"

    def test_a_refused_request_does_not_use_its_key_up(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = new_payment(database, merchant_id)
        assert give(database, payment_id, APPROVED, key="twice") == NotInReview(Status.PENDING)
        assert isinstance(give(database, held(database, merchant_id), APPROVED, key="twice"), Answered)


class TestExpiry:
    @pytest.mark.parametrize(
        ("answer", "status", "failure_code"), [(REJECTED, "failed", "review_rejected"), (APPROVED, "processing", None)]
    )
    def test_reviews_expire_after_their_time(
        self, database: Database, merchant_id: uuid.UUID, answer: ReviewAnswer, status: str, failure_code: str | None
    ) -> None:
        ids = [held(database, merchant_id) for _ in range(3)]
        give(database, ids[0], REJECTED)
        expire_reviews(services(database, DAY_SECONDS - 60), answer)
        assert [payment_row(database, id_)["status"] for id_ in ids] == ["failed", "review", "review"]
        assert expire_reviews(services(database, DAY_SECONDS + 60), answer) >= 2
        for id_ in ids[1:]:
            row = payment_row(database, id_)
            assert (row["status"], row["failure_code"]) == (status, failure_code)
            assert decision(database, id_)["actor"] == "expiry"
        assert expire_reviews(services(database, DAY_SECONDS + 60), answer) == 0

    def test_the_review_of_a_canceled_payment_is_closed(self, database: Database, merchant_id: uuid.UUID) -> None:
        payment_id = held(database, merchant_id)
        cancel(database, payment_id)
        expire_reviews(services(database, DAY_SECONDS + 60), APPROVED)
        assert payment_row(database, payment_id)["status"] == "canceled"
        assert decision(database, payment_id)["answer"] == "closed"


class TestAtOnce:
    def test_exactly_one_wins(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID
    ) -> None:
        def approving(one: Database, payment_id: uuid.UUID) -> bool:
            return isinstance(give(one, payment_id, APPROVED), Answered)

        def rejecting(one: Database, payment_id: uuid.UUID) -> bool:
            return isinstance(give(one, payment_id, REJECTED), Answered)

        def expiring(one: Database, payment_id: uuid.UUID) -> bool:
            expire_reviews(services(one, DAY_SECONDS + 60), REJECTED)
            found = decision(one, payment_id)
            # The expiry also closes the review of a payment that was canceled.
            return (found["answer"], found["actor"]) == ("rejected", "expiry")

        acts: list[Callable[[Database, uuid.UUID], bool]] = [approving, rejecting, expiring, cancel] * 2
        connections = [patient_database(database_address) for _ in acts]
        ends: Counter[str] = Counter()
        with ThreadPoolExecutor(len(acts)) as threads:
            for turn in range(40):
                payment_id = held(database, merchant_id)
                order = acts[turn % len(acts) :] + acts[: turn % len(acts)]
                won = list(threads.map(lambda act, one, id_=payment_id: act(one, id_), order, connections))
                winners = {act.__name__ for act, has_won in zip(order, won, strict=True) if has_won}
                assert len(winners) == 1, winners
                # Both threads may see that the expiry has won.
                assert winners == {"expiring"} or sum(won) == 1
                settled = [name for name in events(database, payment_id) if name.startswith("payment.")][2:]
                assert len(settled) == 1
                ends[settled[0]] += 1
        for one in connections:
            one.close()
        assert set(ends) <= {"payment.processing", "payment.failed", "payment.canceled"}


class TestDeath:
    @pytest.mark.parametrize("answer", [APPROVED, REJECTED])
    def test_leaves_all_or_nothing(
        self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID, answer: ReviewAnswer
    ) -> None:
        payment_id = held(database, merchant_id)

        def look() -> list[Any]:
            operations = "SELECT to_json(o) FROM operations o WHERE payment_id = :id::uuid"
            keys = "SELECT to_json(k) FROM idempotency_keys k WHERE resource_id = :id::uuid ORDER BY operation"
            return [
                payment_row(database, payment_id),
                outbox_rows(database, payment_id),
                decision(database, payment_id),
                rows(database, operations, id=payment_id),
                rows(database, keys, id=payment_id),
            ]

        def act(dying: Database) -> None:
            answer_review(services(dying), payment_id, answer, STAFF, key=f"dies-{answer}")

        assert die_at_every_step(database_address, act, look) >= 5

    def test_of_the_expiry(self, database: Database, database_address: DatabaseAddress, merchant_id: uuid.UUID) -> None:
        expire_reviews(services(database, DAY_SECONDS + 60), REJECTED)
        payment_id = held(database, merchant_id)

        def look() -> list[Any]:
            return [payment_row(database, payment_id), events(database, payment_id), decision(database, payment_id)]

        def act(dying: Database) -> None:
            expire_reviews(services(dying, DAY_SECONDS + 60), APPROVED)

        assert die_at_every_step(database_address, act, look) >= 5


def cancel(database: Database, payment_id: uuid.UUID) -> bool:
    """Cancel the payment if it is in review, with its event, as one statement does; tell whether that was so."""
    canceled = rows(
        database,
        """
        WITH canceled AS (
            UPDATE payments SET status = 'canceled', version = version + 1, last_sequence = last_sequence + 1
            WHERE id = :id::uuid AND status = 'review' RETURNING *
        )
        INSERT INTO outbox (id, payment_id, merchant_id, subject_type, subject_id, sequence, type, exchange,
                            routing_key, body, correlation_id)
        SELECT :event_id::uuid, id, merchant_id, 'payment', id, last_sequence, 'payment.canceled', 'payments.events',
               'payment.canceled', '{}', 'c'
        FROM canceled RETURNING to_json(id)
        """,
        id=payment_id,
        event_id=Uuid7Ids().new(),
    )
    return bool(canceled)
