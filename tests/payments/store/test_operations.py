"""A settled payment stays as it is, and an attempt keeps its first clear answer."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime

import pytest
from paybridge.payments.store.attempts import AttemptResult, AttemptStart

from local.testkit.payments import MovableClock, attempt_rows, new_merchant, new_payment, payment_row
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import AttemptStatus
from paybridge.payments.domain.payment import Status
from paybridge.payments.store import attempts

pytestmark = pytest.mark.integration


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def payment_id(database: Database, clock: MovableClock) -> uuid.UUID:
    """A payment whose first attempt has started."""
    payment_id = new_payment(database, new_merchant(database))
    start(database, clock, payment_id, 1)
    return payment_id


def start(database: Database, clock: MovableClock, payment_id: uuid.UUID, number: int, ask: int = 0) -> None:
    with database.transaction() as transaction:
        attempts.start(transaction, [AttemptStart(payment_id, number, 2, ask)], clock.now())


def finish(database: Database, clock: MovableClock, result: AttemptResult) -> dict[uuid.UUID, int]:
    with database.transaction() as transaction:
        return attempts.finish(transaction, [result], clock.now())


def succeeded(payment_id: uuid.UUID) -> AttemptResult:
    return AttemptResult(
        payment_id=payment_id,
        number=1,
        attempt_status=AttemptStatus.SUCCEEDED,
        gateway_id="ch_1",
        gateway_code=None,
        approved_minor=None,
        error=None,
        status=Status.SUCCEEDED,
        failure_code=None,
        failure_message=None,
        captured_minor=10050,
    )


def declined(payment_id: uuid.UUID) -> AttemptResult:
    return replace(
        succeeded(payment_id),
        attempt_status=AttemptStatus.DECLINED,
        gateway_id=None,
        status=Status.FAILED,
        failure_code="card_declined",
        failure_message="No.",
        captured_minor=0,
    )


def unclear(payment_id: uuid.UUID, status: AttemptStatus) -> AttemptResult:
    return replace(
        succeeded(payment_id),
        attempt_status=status,
        gateway_id=None,
        error="500" if status is AttemptStatus.UNKNOWN else None,
        status=None,
        captured_minor=0,
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
def test_an_attempt_does_not_reopen_a_settled_payment(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, is_charged: bool
) -> None:
    finish(database, clock, succeeded(payment_id) if is_charged else declined(payment_id))
    before = payment_row(database, payment_id)
    start(database, clock, payment_id, 2)
    assert payment_row(database, payment_id) == before
    with database.transaction() as transaction:
        assert attempts.lock_chargeable(transaction, [payment_id]) == []


def test_a_later_attempt_counts_no_event(database: Database, clock: MovableClock, payment_id: uuid.UUID) -> None:
    before = payment_row(database, payment_id)
    with database.transaction() as transaction:
        attempts.start(transaction, [AttemptStart(payment_id, 2, 9)], clock.now())
    assert payment_row(database, payment_id) == before


@pytest.mark.parametrize("status", [AttemptStatus.UNKNOWN, AttemptStatus.RATE_LIMITED, AttemptStatus.PENDING])
def test_the_next_attempt_leaves_an_answered_one_as_it_is(
    database: Database, clock: MovableClock, payment_id: uuid.UUID, status: AttemptStatus
) -> None:
    finish(database, clock, unclear(payment_id, status))
    before = attempt_rows(database, payment_id)
    start(database, clock, payment_id, 2)
    assert attempt_rows(database, payment_id)[:1] == before


def test_asking_again_goes_on_with_the_attempt(database: Database, clock: MovableClock, payment_id: uuid.UUID) -> None:
    finish(database, clock, unclear(payment_id, AttemptStatus.PENDING))
    (pending,) = attempt_rows(database, payment_id)
    clock.move(60)
    start(database, clock, payment_id, 1, ask=1)
    (asked,) = attempt_rows(database, payment_id)
    assert (asked["status"], asked["asks"], asked["finished_at"]) == ("started", 1, None)
    assert asked["started_at"] == pending["started_at"] < asked["asked_at"]
    with database.transaction() as transaction:
        ((_, last),) = attempts.lock_chargeable(transaction, [payment_id])
    assert last is not None
    assert (last.number, last.ask, last.was_pending) == (1, 1, True)
    assert last.started_at == datetime.fromisoformat(asked["asked_at"])


def test_an_attempt_has_been_pending_since_the_first_time(
    database: Database, clock: MovableClock, payment_id: uuid.UUID
) -> None:
    finish(database, clock, unclear(payment_id, AttemptStatus.PENDING))
    first = attempt_rows(database, payment_id)[0]["pending_at"]
    clock.move(60)
    start(database, clock, payment_id, 1, ask=1)
    finish(database, clock, unclear(payment_id, AttemptStatus.PENDING))
    assert attempt_rows(database, payment_id)[0]["pending_at"] == first
