"""A settled payment stays as it is, and an attempt keeps its first clear answer."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from local.testkit.payments import MovableClock, attempt_rows, new_merchant, new_payment, payment_row
from paybridge.core.errors import ConstraintViolated
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import last_attempt
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, OperationStatus, first_operation
from paybridge.payments.domain.outcome import Effect
from paybridge.payments.domain.payment import Status, begin_processing
from paybridge.payments.store import attempts, operations
from paybridge.payments.store.attempts import AttemptResult, AttemptStart

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def payment_id(database: Database, clock: MovableClock) -> uuid.UUID:
    """A payment whose first attempt has started."""
    payment_id = new_payment(database, new_merchant(database))
    begin(database, clock, payment_id)
    return payment_id


def begin(database: Database, clock: MovableClock, payment_id: uuid.UUID) -> None:
    with database.transaction() as transaction:
        (payment,) = operations.lock_payments(transaction, [payment_id])
        payment = begin_processing(payment, DEFAULT_GATEWAY, clock.now())
        attempts.begin(transaction, [(payment, first_operation(payment, DEFAULT_GATEWAY, clock.now()))], clock.now())


def start(database: Database, clock: MovableClock, payment_id: uuid.UUID, number: int, ask: int = 0) -> None:
    with database.transaction() as transaction:
        attempts.start(transaction, [AttemptStart(payment_id, number, ask)], clock.now())


def finish(database: Database, clock: MovableClock, result: AttemptResult) -> dict[uuid.UUID, int | None]:
    """Return the sequences of the payments that settled."""
    with database.transaction() as transaction:
        settled = attempts.finish(transaction, [replace(result, started_at=clock.now())], clock.now())
    return {id_: each.payment_sequence for id_, each in settled.items()}


def succeeded(payment_id: uuid.UUID) -> AttemptResult:
    return AttemptResult(
        id=payment_id,
        payment_id=payment_id,
        number=1,
        started_at=datetime.now(UTC),
        attempt_status=OperationStatus.SUCCEEDED,
        gateway_id="ch_1",
        outcome=OperationStatus.SUCCEEDED,
        effect=Effect.FIRST,
        status=Status.SUCCEEDED,
        captured_minor=10050,
        events=1,
    )


def declined(payment_id: uuid.UUID) -> AttemptResult:
    return replace(
        succeeded(payment_id),
        attempt_status=OperationStatus.DECLINED,
        gateway_id=None,
        outcome=OperationStatus.DECLINED,
        failure_code="card_declined",
        failure_message="No.",
        status=Status.FAILED,
        payment_failure_code="card_declined",
        payment_failure_message="No.",
        captured_minor=None,
    )


def unclear(payment_id: uuid.UUID, status: OperationStatus) -> AttemptResult:
    return AttemptResult(
        id=payment_id,
        payment_id=payment_id,
        number=1,
        started_at=datetime.now(UTC),
        attempt_status=status,
        error="500" if status is OperationStatus.UNKNOWN else None,
    )


@pytest.mark.parametrize("is_charged", [True, False])
def test_a_second_outcome_changes_nothing(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, is_charged: bool
) -> None:
    first, second = succeeded(payment_id), declined(payment_id)
    if not is_charged:
        first, second = second, first
    assert finish(database, clock, first) == {payment_id: 3}
    before = payment_row(database, payment_id), attempt_rows(database, payment_id)
    clock.move(60)
    assert finish(database, clock, second) == {}
    assert (payment_row(database, payment_id), attempt_rows(database, payment_id)) == before


@pytest.mark.parametrize("is_charged", [True, False])
def test_a_settled_operation_is_not_started_again(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, is_charged: bool
) -> None:
    finish(database, clock, succeeded(payment_id) if is_charged else declined(payment_id))
    before = payment_row(database, payment_id)
    with pytest.raises(ConstraintViolated) as caught:
        start(database, clock, payment_id, 2)
    assert caught.value.constraint == "operations_transition_is_legal"
    assert payment_row(database, payment_id) == before
    with database.transaction() as transaction:
        assert operations.lock_payments(transaction, [payment_id]) == []


def test_a_later_attempt_changes_no_payment(database: Database, clock: MovableClock, payment_id: uuid.UUID) -> None:
    before = payment_row(database, payment_id)
    start(database, clock, payment_id, 2)
    assert payment_row(database, payment_id) == before


@pytest.mark.parametrize("status", [OperationStatus.UNKNOWN, OperationStatus.RATE_LIMITED, OperationStatus.PENDING])
def test_the_next_attempt_leaves_an_answered_one_as_it_is(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, status: OperationStatus
) -> None:
    finish(database, clock, unclear(payment_id, status))
    before = attempt_rows(database, payment_id)
    start(database, clock, payment_id, 2)
    assert attempt_rows(database, payment_id)[:1] == before


@pytest.mark.parametrize(("number", "ask"), [(2, 0), (1, 1)])
def test_an_operation_is_given_up_only_after_its_newest_call(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, number: int, ask: int
) -> None:
    given_up = replace(declined(payment_id), attempt_status=OperationStatus.UNKNOWN, gave_up=True)
    start(database, clock, payment_id, number, ask)
    before = payment_row(database, payment_id)
    assert finish(database, clock, given_up) == {}
    assert payment_row(database, payment_id) == before
    assert attempt_rows(database, payment_id)[-1]["status"] == "started"
    assert finish(database, clock, replace(given_up, number=number, ask=ask)) == {payment_id: 3}
    assert payment_row(database, payment_id)["status"] == "failed"


def test_asking_again_goes_on_with_the_attempt(database: Database, clock: MovableClock, payment_id: uuid.UUID) -> None:
    finish(database, clock, unclear(payment_id, OperationStatus.PENDING))
    (pending,) = attempt_rows(database, payment_id)
    clock.move(60)
    start(database, clock, payment_id, 1, ask=1)
    (asked,) = attempt_rows(database, payment_id)
    assert (asked["status"], asked["asks"], asked["finished_at"]) == ("started", 1, None)
    assert asked["started_at"] == pending["started_at"] < asked["asked_at"]
    with database.transaction() as transaction:
        last = last_attempt(operations.find(transaction, [payment_id])[payment_id])
    assert last is not None
    assert (last.number, last.ask, last.was_pending) == (1, 1, True)
    assert last.started_at == datetime.fromisoformat(asked["asked_at"])


def test_an_attempt_has_been_pending_since_the_first_time(
    database: Database, clock: MovableClock, payment_id: uuid.UUID
) -> None:
    finish(database, clock, unclear(payment_id, OperationStatus.PENDING))
    first = attempt_rows(database, payment_id)[0]["pending_at"]
    clock.move(60)
    start(database, clock, payment_id, 1, ask=1)
    finish(database, clock, unclear(payment_id, OperationStatus.PENDING))
    assert attempt_rows(database, payment_id)[0]["pending_at"] == first
