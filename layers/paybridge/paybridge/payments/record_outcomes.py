"""Last step of processing: outcome, settled payment and event, committed together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.events import PAYMENT_FAILED, PAYMENT_SUCCEEDED, Event
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.charging import RetryCharge, Settle, after_unknown
from paybridge.payments.domain.circuit import Circuit, after_calls
from paybridge.payments.domain.events import payment_event, process_payment
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.ports import Charged, Declined, Unknown
from paybridge.payments.processing import CIRCUIT, Outcome, Processing, Recorded
from paybridge.payments.store import attempts, circuits
from paybridge.payments.store.attempts import Finish

Consequence = Settle | RetryCharge
GIVEN_UP = frozenset({Status.FAILED, Status.CANCELED})


def record_outcomes(processing: Processing, outcomes: Sequence[Outcome], circuit: Circuit) -> Recorded:
    """Commits what the gateway said, and returns which payments that settled.

    `circuit` is the circuit as it stood when the calls began: a closed one that meets no failure is not written.
    Raises DatabaseUnavailable; then nothing of it is recorded, and the messages come again.
    """
    now = processing.clock.now()
    decided = [(outcome, _consequence(processing, outcome)) for outcome in outcomes]
    with processing.database.transaction() as transaction:
        finishes = [_finish(outcome, consequence) for outcome, consequence in decided]
        settled = attempts.finish(transaction, finishes, now)
        facts = [
            _fact(processing, outcome.attempt.payment, consequence, settled[outcome.attempt.payment.id], now)
            for outcome, consequence in decided
            if isinstance(consequence, Settle) and outcome.attempt.payment.id in settled
        ]
        retries = [
            _try_again(processing, outcome.attempt.payment, consequence, now)
            for outcome, consequence in decided
            if isinstance(consequence, RetryCharge)
        ]
        outbox.add_delayed(transaction, [(fact, 0.0) for fact in facts] + retries)
        _update_circuit(processing, transaction, outcomes, circuit, now)
        charged = [outcome.attempt.payment.id for outcome in outcomes if isinstance(outcome.answer, Charged)]
        too_late = _given_up(transaction, [id_ for id_ in charged if id_ not in settled])
    return Recorded({fact.payment_id: Status(fact.data["status"]) for fact in facts}, too_late)


def _given_up(transaction: Transaction, charged: Sequence[UUID]) -> set[UUID]:
    """Which of these charged payments had been settled without the charge."""
    return {id_ for id_, status in attempts.statuses(transaction, charged).items() if status in GIVEN_UP}


def _consequence(processing: Processing, outcome: Outcome) -> Consequence:
    answer = outcome.answer
    if isinstance(answer, Charged):
        return Settle(Status.SUCCEEDED)
    if isinstance(answer, Declined):
        return Settle(Status.FAILED, answer.failure_code, answer.message)
    delays_seconds = processing.retry_delays_seconds
    return after_unknown(outcome.attempt.number, answer.failure_code, delays_seconds, answer.never_arrived)


def _finish(outcome: Outcome, consequence: Consequence) -> Finish:
    payment, answer = outcome.attempt.payment, outcome.answer
    charged = isinstance(answer, Charged)
    return Finish(
        payment_id=payment.id,
        number=outcome.attempt.number,
        attempt_status=_ATTEMPT_STATUS[type(answer)],
        gateway_id=answer.gateway_id if isinstance(answer, Charged) else None,
        error=answer.error if isinstance(answer, Unknown) else None,
        status=consequence.status if isinstance(consequence, Settle) else None,
        failure_code=consequence.failure_code if isinstance(consequence, Settle) else None,
        failure_message=consequence.failure_message if isinstance(consequence, Settle) else None,
        captured_minor=payment.amount_minor if charged else 0,
    )


_ATTEMPT_STATUS = {Charged: "succeeded", Declined: "declined", Unknown: "unknown"}


def _fact(processing: Processing, payment: Payment, settle: Settle, sequence: int, now: datetime) -> Event:
    succeeded = settle.status is Status.SUCCEEDED
    settled = replace(
        payment,
        status=settle.status,
        captured_minor=payment.amount_minor if succeeded else 0,
        failure_code=settle.failure_code,
        failure_message=settle.failure_message,
        last_sequence=sequence,
        updated_at=now,
    )
    type_ = PAYMENT_SUCCEEDED if succeeded else PAYMENT_FAILED
    return payment_event(processing.ids.new(), type_, settled, now)


def _try_again(processing: Processing, payment: Payment, retry: RetryCharge, now: datetime) -> tuple[Event, float]:
    command = process_payment(
        processing.ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, retry.number
    )
    return command, retry.seconds


def _update_circuit(
    processing: Processing, transaction: Transaction, outcomes: Sequence[Outcome], circuit: Circuit, now: datetime
) -> None:
    failures = sum(isinstance(outcome.answer, Unknown) for outcome in outcomes)
    if not failures and circuit == Circuit():
        return
    # Locked last, and only when something is wrong, so that batches of a healthy gateway never wait for each other.
    current = circuits.lock(transaction, CIRCUIT)
    changed = after_calls(current, len(outcomes) - failures, failures, processing.circuit_policy, now)
    if changed != current:
        circuits.save(transaction, CIRCUIT, changed)
