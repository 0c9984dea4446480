"""Last step of charging: commit how the attempts ended, the settled payments and their events, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from paybridge.core.errors import IllegalTransition, LockTimeout, reason_of
from paybridge.core.events import PAYMENT_FAILED, PAYMENT_SUCCEEDED, Event
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.charging import AttemptStatus, Retry, Settle, after_answer
from paybridge.payments.domain.events import find_late_charge_command, payment_event, retry_command
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayOutcome,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.late_charges import next_look_up
from paybridge.payments.domain.pace import Pace
from paybridge.payments.domain.payment import Payment, Status, ensure_transition
from paybridge.payments.gateway_watch import GatewayWatch, RefusedCall, count_answers, paces_after, seconds_until_next
from paybridge.payments.records import AnsweredAttempt, EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.start_attempts import put_off
from paybridge.payments.store import attempts, charges_to_return, late_charge_checks
from paybridge.payments.store.attempts import AttemptResult
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason
from paybridge.payments.store.late_charge_checks import PlannedCheck


@dataclass(frozen=True, slots=True)
class Blocked:
    """The payment cannot take the status that follows from the answer. The attempt is recorded, the payment stays."""

    error: str


Decision = Settle | Retry | Blocked
DecidedAttempt = tuple[AnsweredAttempt, Decision]

GIVEN_UP = frozenset({Status.FAILED, Status.CANCELED})
TOO_LATE_ERROR = "the gateway charged a payment that had been given up: give the money back"

_ATTEMPT_STATUS = {
    Succeeded: AttemptStatus.SUCCEEDED,
    PartlyApproved: AttemptStatus.PARTIAL,
    Declined: AttemptStatus.DECLINED,
    Pending: AttemptStatus.PENDING,
    UnderWay: AttemptStatus.UNKNOWN,
    RateLimited: AttemptStatus.RATE_LIMITED,
    Contradictory: AttemptStatus.UNKNOWN,
    Unknown: AttemptStatus.UNKNOWN,
}

_OPEN_OUTCOMES: Mapping[type[GatewayOutcome], PaymentOutcome] = {
    Pending: PaymentOutcome.PENDING,
    RateLimited: PaymentOutcome.DEFERRED,
}


def record_answers(
    services: EngineServices, answers: Sequence[AnsweredAttempt], watch: GatewayWatch
) -> list[PaymentResult]:
    """Commit what the gateway answered and return the result of each payment.

    `watch` is the batch's view of the gateway: without faults before and now, no circuit is written. A payment whose
    outcome cannot be recorded stays processing, and the sweep retries it. One whose row another transaction holds is
    put off: the next attempt asks the gateway for the charge. Raises DatabaseUnavailable and LockTimeout: then the
    messages must be redelivered.
    """
    _note(watch, answers)
    refused: list[PaymentResult] = []
    locked: dict[UUID, tuple[int, int]] = {}

    def record_together(group: Sequence[AnsweredAttempt]) -> list[PaymentResult]:
        results = _record_together(services, group, watch)
        watch.outcomes += results
        return results

    def on_bad_answer(answered: AnsweredAttempt, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            locked[answered.attempt.payment.id] = (answered.attempt.number + 1, 0)
        else:
            refused.append(_result(answered, PaymentOutcome.REFUSED, reason_of(error)))

    recorded = run_isolating_bad_items(record_together, answers, on_bad_answer)
    if locked:
        with services.database.transaction() as transaction:
            refused += put_off(services, transaction, locked)
    watch.outcomes += refused
    return [result for results in recorded for result in results] + refused


def _record_together(
    services: EngineServices, answers: Sequence[AnsweredAttempt], watch: GatewayWatch
) -> list[PaymentResult]:
    now = services.clock.now()
    paces = paces_after(watch, now)
    decided = _decide_all(services, answers, watch, paces, now)
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        ended = [_attempt_result(answered, decision) for answered, decision in decided]
        sequences = attempts.finish(transaction, ended, now)
        events = _outcome_events(services, decided, sequences, now)
        commands = _retry_commands(services, decided, now)
        outbox.add_delayed(transaction, [(event, 0.0) for event in events] + commands)
        given_up = _given_up(transaction, answers, sequences.keys())
        # A charge that is on record was reported before.
        given_up &= charges_to_return.add(transaction, _charges_to_return(answers, given_up), now)
        _plan_late_checks(services, transaction, decided, sequences.keys(), now)
        faults = [answered.attempt.payment for answered in answers if _is_fault(answered)]
        changes = count_answers(watch, transaction, faults, paces, services.circuit_policy, now)
    watch.changes += changes
    watch.slowed |= {id_: pace.calls_per_second for id_, pace in paces.items() if id_ not in watch.paces}
    return [_settled_result(answered, decision, sequences.keys(), given_up) for answered, decision in decided]


def _note(watch: GatewayWatch, answers: Sequence[AnsweredAttempt]) -> None:
    """Add the answers to those of the batch. The rate of asking for pending charges is none of the pace's concern."""
    watch.answered += [answered.attempt.payment for answered in answers if not isinstance(answered.answer, Unknown)]
    for answered in answers:
        if isinstance(answered.answer, RateLimited) and not answered.attempt.was_pending:
            payment = answered.attempt.payment
            watch.refused[payment.id] = RefusedCall(payment.merchant_id, answered.answer.retry_after_seconds)


def _decide_all(
    services: EngineServices,
    answers: Sequence[AnsweredAttempt],
    watch: GatewayWatch,
    paces: Mapping[UUID, Pace],
    now: datetime,
) -> list[DecidedAttempt]:
    """Decide about each answer. A call that was refused for its rate comes again as the merchant's pace allows."""
    if not watch.refused:
        return [(answered, _decide(services, answered, now)) for answered in answers]
    refused = [answered.attempt.payment.id for answered in answers if answered.attempt.payment.id in watch.refused]
    due_seconds = seconds_until_next(watch, refused, paces, now)
    decided: list[DecidedAttempt] = []
    for answered in answers:
        decision = _decide(services, answered, now)
        if isinstance(decision, Retry) and answered.attempt.payment.id in due_seconds:
            decision = replace(decision, seconds=due_seconds[answered.attempt.payment.id])
        decided.append((answered, decision))
    return decided


def _decide(services: EngineServices, answered: AnsweredAttempt, now: datetime) -> Decision:
    attempt = answered.attempt
    decision = after_answer(attempt.place(now), answered.answer, services.schedule)
    if isinstance(decision, Settle):
        try:
            ensure_transition(attempt.payment.status, decision.status)
        except IllegalTransition as error:
            # What the gateway did is on record all the same: money may have moved.
            return Blocked(str(error))
    return decision


def _attempt_result(answered: AnsweredAttempt, decision: Decision) -> AttemptResult:
    payment, answer = answered.attempt.payment, answered.answer
    is_charged = isinstance(answer, Succeeded)
    return AttemptResult(
        payment_id=payment.id,
        number=answered.attempt.number,
        attempt_status=_attempt_status(answered),
        gateway_id=answer.gateway_id if isinstance(answer, Succeeded | PartlyApproved | Contradictory) else None,
        gateway_code=answer.gateway_code if isinstance(answer, Declined) else None,
        approved_minor=answer.approved_minor if isinstance(answer, PartlyApproved) else None,
        error=answer.error if isinstance(answer, Unknown | UnderWay | Contradictory) else None,
        status=decision.status if isinstance(decision, Settle) else None,
        failure_code=decision.failure_code if isinstance(decision, Settle) else None,
        failure_message=decision.failure_message if isinstance(decision, Settle) else None,
        captured_minor=payment.amount_minor if is_charged else 0,
    )


def _attempt_status(answered: AnsweredAttempt) -> AttemptStatus:
    if isinstance(answered.answer, RateLimited) and answered.attempt.ask_first:
        # A call before this one may have charged.
        return AttemptStatus.UNKNOWN
    return _ATTEMPT_STATUS[type(answered.answer)]


def _charges_to_return(answers: Sequence[AnsweredAttempt], given_up: Set[UUID]) -> list[ChargeToReturn]:
    """Return the charges that settle no payment: a part of the amount, or after the payment was given up."""
    found = []
    for answered in answers:
        payment, answer = answered.attempt.payment, answered.answer
        is_late = payment.id in given_up
        if isinstance(answer, PartlyApproved):
            reason = ReturnReason.CHARGED_LATE if is_late else ReturnReason.PARTIAL_APPROVAL
            amount_minor = answer.approved_minor
        elif isinstance(answer, Succeeded) and is_late:
            reason, amount_minor = ReturnReason.CHARGED_LATE, payment.amount_minor
        else:
            continue
        found.append(
            ChargeToReturn(payment.id, payment.merchant_id, answer.gateway_id, reason, amount_minor, payment.currency)
        )
    return found


def _outcome_events(
    services: EngineServices, decided: Sequence[DecidedAttempt], sequences: Mapping[UUID, int], now: datetime
) -> list[Event]:
    """Make an event for each payment that this call settled, numbered by `sequences`."""
    return [
        _outcome_event(services, answered.attempt.payment, decision, sequences[answered.attempt.payment.id], now)
        for answered, decision in decided
        if isinstance(decision, Settle) and answered.attempt.payment.id in sequences
    ]


def _outcome_event(services: EngineServices, payment: Payment, settle: Settle, sequence: int, now: datetime) -> Event:
    has_succeeded = settle.status is Status.SUCCEEDED
    settled = replace(
        payment,
        status=settle.status,
        captured_minor=payment.amount_minor if has_succeeded else 0,
        failure_code=settle.failure_code,
        failure_message=settle.failure_message,
        last_sequence=sequence,
        updated_at=now,
    )
    type_ = PAYMENT_SUCCEEDED if has_succeeded else PAYMENT_FAILED
    return payment_event(services.ids.new(), type_, settled, now)


def _retry_commands(
    services: EngineServices, decided: Sequence[DecidedAttempt], now: datetime
) -> list[tuple[Event, float]]:
    """Make a command for each charge to retry, with its delay in seconds."""
    return [
        (
            retry_command(services.ids.new(), answered.attempt.payment, now, decision.number, decision.ask),
            decision.seconds,
        )
        for answered, decision in decided
        if isinstance(decision, Retry)
    ]


def _is_fault(answered: AnsweredAttempt) -> bool:
    """Tell whether the answer counts against the gateway. A defect of ours does not."""
    answer = answered.answer
    return isinstance(answer, Unknown) and answer.fault is not Fault.INTERNAL and not answered.attempt.was_pending


def _plan_late_checks(
    services: EngineServices,
    transaction: Transaction,
    decided: Sequence[DecidedAttempt],
    settled: Set[UUID],
    now: datetime,
) -> None:
    """Plan to ask for the charges of the payments that this call gave up: the gateway may still make them."""
    delay_seconds = next_look_up(0, services.late_charge_ages_seconds)
    given_up = [
        answered.attempt.payment
        for answered, decision in decided
        if isinstance(decision, Settle) and decision.gave_up and answered.attempt.payment.id in settled
    ]
    if delay_seconds is None or not given_up:
        return
    planned = [PlannedCheck(each.id, each.merchant_id, each.correlation_id, delay_seconds) for each in given_up]
    late_charge_checks.plan(transaction, planned, now)
    commands = [
        find_late_charge_command(services.ids.new(), each.id, each.merchant_id, each.correlation_id, now)
        for each in given_up
    ]
    outbox.add_delayed(transaction, [(command, delay_seconds) for command in commands])


def _given_up(transaction: Transaction, answers: Sequence[AnsweredAttempt], settled: Set[UUID]) -> set[UUID]:
    """Find the charged payments that had been settled before, and without the charge."""
    charged = {
        answered.attempt.payment.id for answered in answers if isinstance(answered.answer, Succeeded | PartlyApproved)
    }
    statuses = attempts.statuses(transaction, list(charged - settled))
    return {id_ for id_, status in statuses.items() if status in GIVEN_UP}


def _settled_result(
    answered: AnsweredAttempt, decision: Decision, settled: Set[UUID], given_up: Set[UUID]
) -> PaymentResult:
    payment, answer = answered.attempt.payment, answered.answer
    if payment.id in given_up:
        return _result(answered, PaymentOutcome.CHARGED_TOO_LATE, TOO_LATE_ERROR)
    if isinstance(decision, Blocked):
        return _result(answered, PaymentOutcome.REFUSED, decision.error)
    if isinstance(decision, Settle) and payment.id in settled:
        return _result(answered, PaymentOutcome(decision.status), _partial_error(payment, answer))
    if isinstance(answer, Contradictory):
        return _result(answered, PaymentOutcome.UNKNOWN, answer.error)
    return _result(answered, _OPEN_OUTCOMES.get(type(answer), PaymentOutcome.UNKNOWN))


def _partial_error(payment: Payment, answer: GatewayOutcome) -> str | None:
    if not isinstance(answer, PartlyApproved):
        return None
    return (
        f"the gateway approved {answer.approved_minor} of {payment.amount_minor} minor units of {payment.currency}: "
        f"give back {answer.approved_minor}"
    )


def _result(answered: AnsweredAttempt, outcome: PaymentOutcome, error: str | None = None) -> PaymentResult:
    payment = answered.attempt.payment
    return PaymentResult(payment.id, payment.correlation_id, outcome, error)
