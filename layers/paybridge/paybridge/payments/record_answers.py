"""Last step of the engine: commit how the attempts ended, the settled operations and their events, together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from uuid import UUID

from paybridge.core.errors import LockTimeout, reason_of
from paybridge.core.events import (
    Event,
)
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.decide_answers import Blocked, DecidedAttempt, decide_all
from paybridge.payments.domain.attempts import Retry, Settle
from paybridge.payments.domain.circuit import MerchantAt
from paybridge.payments.domain.decline_codes import AUTHORIZATION_EXPIRED
from paybridge.payments.domain.events import run_operation_command
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
from paybridge.payments.domain.operation import FIRST_KINDS, Cause, Kind, Operation, OperationStatus
from paybridge.payments.domain.refund import is_refund
from paybridge.payments.gateway_watch import (
    GatewayWatch,
    RefusedCall,
    call_of,
    count_answers,
    paces_after,
)
from paybridge.payments.give_back import give_back, undo, undo_operation
from paybridge.payments.outcome_events import outcome_events
from paybridge.payments.plan_late_checks import EndedOperation, plan_late_checks
from paybridge.payments.records import (
    AnsweredAttempt,
    EngineServices,
    OperationOrder,
    PaymentOutcome,
    PaymentResult,
)
from paybridge.payments.start_attempts import put_off
from paybridge.payments.store import attempts, operations
from paybridge.payments.store.attempts import AttemptResult
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason

TOO_LATE_ERROR = "the gateway charged a payment that had been given up: the money is given back"
HELD_ERROR = "the gateway does not release the authorization: find out why, and cancel again or capture"
NOT_GIVEN_BACK_ERROR = "the gateway does not give back what settles no payment: have it given back there"

_ATTEMPT_STATUS = {
    Succeeded: OperationStatus.SUCCEEDED,
    PartlyApproved: OperationStatus.PARTIAL,
    Declined: OperationStatus.DECLINED,
    Pending: OperationStatus.PENDING,
    UnderWay: OperationStatus.UNKNOWN,
    RateLimited: OperationStatus.RATE_LIMITED,
    Contradictory: OperationStatus.UNKNOWN,
    Unknown: OperationStatus.UNKNOWN,
}

_OPEN_OUTCOMES: Mapping[type[GatewayOutcome], PaymentOutcome] = {
    Pending: PaymentOutcome.PENDING,
    RateLimited: PaymentOutcome.DEFERRED,
}


def record_answers(
    services: EngineServices, answers: Sequence[AnsweredAttempt], watch: GatewayWatch
) -> list[PaymentResult]:
    """Commit what the gateway answered and return the result of each operation.

    `watch` is the batch's view of the gateway: without faults before and now, no circuit is written. An operation whose
    outcome cannot be recorded stays open, and the sweep retries it. One whose row another transaction holds is put off:
    the next attempt asks the gateway for it. Raises DatabaseUnavailable and LockTimeout: then the messages must be
    redelivered.
    """
    _note(watch, answers)
    refused: list[PaymentResult] = []
    locked: list[OperationOrder] = []

    def record_together(group: Sequence[AnsweredAttempt]) -> list[PaymentResult]:
        results = _record_together(services, group, watch)
        watch.outcomes += results
        return results

    def on_bad_answer(answered: AnsweredAttempt, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            operation = answered.attempt.operation
            locked.append(OperationOrder(operation.payment_id, answered.attempt.number + 1, 0, operation.id))
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
    decided = decide_all(services, answers, watch, paces, now)
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        settled = attempts.finish(transaction, [_attempt_result(each) for each in decided], now)
        events = outcome_events(services.ids, transaction, decided, settled, now)
        commands = _retry_commands(services, decided, now)
        outbox.add_delayed(transaction, [(event, 0.0) for event in events] + commands)
        given_up = _given_up(transaction, answers, settled.keys())
        # A charge that is on record was reported before.
        given_up &= give_back(services.ids, transaction, _charges_to_return(answers, given_up), now)
        undo(services.ids, transaction, _undos(services, decided, settled.keys(), now))
        plan_late_checks(transaction, _ended(decided, settled.keys()), services.late_check_ages, now)
        faults = [call_of(each.attempt.payment, each.attempt.operation) for each in answers if _is_fault(each)]
        changes = count_answers(watch, transaction, faults, paces, services.circuit_policy, now)
    watch.changes += changes
    watch.slowed |= {source: pace.calls_per_second for source, pace in paces.items() if source not in watch.paces}
    return [_settled_result(each, settled.keys(), given_up) for each in decided]


def _note(watch: GatewayWatch, answers: Sequence[AnsweredAttempt]) -> None:
    """Add the answers to those of the batch. The rate of asking for what is pending is none of the pace's concern."""
    watch.answered += [answered.attempt for answered in answers if not isinstance(answered.answer, Unknown)]
    for answered in answers:
        if isinstance(answered.answer, RateLimited) and not answered.attempt.was_pending:
            operation = answered.attempt.operation
            source = MerchantAt(operation.gateway, operation.merchant_id)
            watch.refused[operation.id] = RefusedCall(source, answered.answer.retry_after_seconds)


def _attempt_result(decided: DecidedAttempt) -> AttemptResult:
    attempt, answer, decision = decided.answered.attempt, decided.answered.answer, decided.decision
    settle = decision if isinstance(decision, Settle) else None
    change = decided.change
    return AttemptResult(
        id=decided.operation.id,
        payment_id=attempt.payment.id,
        number=attempt.number,
        started_at=attempt.begun_at,
        attempt_status=_attempt_status(decided.answered),
        ask=attempt.ask,
        gateway_id=None if isinstance(answer, Declined | UnderWay | RateLimited | Unknown) else answer.gateway_id,
        gateway_code=answer.gateway_code if isinstance(answer, Declined) else None,
        approved_minor=answer.approved_minor if isinstance(answer, PartlyApproved) else None,
        error=answer.error if isinstance(answer, Unknown | UnderWay | Contradictory) else None,
        outcome=settle.status if settle else None,
        gave_up=settle is not None and settle.gave_up,
        failure_code=settle.failure_code if settle else None,
        failure_message=settle.failure_message if settle else None,
        subject_events=1 if settle and is_refund(decided.operation) else 0,
        effect=change.effect if change else None,
        status=change.status if change else None,
        payment_failure_code=change.failure_code if change else None,
        payment_failure_message=change.failure_message if change else None,
        authorized_minor=change.authorized_minor if change else None,
        captured_minor=change.captured_minor if change else None,
        refunded_minor=change.refunded_minor if change else 0,
        reserved_minor=change.reserved_minor if change else 0,
        capture_before=change.capture_before if change else None,
        events=1 if change and change.has_event else 0,
    )


def _attempt_status(answered: AnsweredAttempt) -> OperationStatus:
    if isinstance(answered.answer, RateLimited) and answered.attempt.ask_first:
        # A call before this one may have done it.
        return OperationStatus.UNKNOWN
    return _ATTEMPT_STATUS[type(answered.answer)]


def _charges_to_return(answers: Sequence[AnsweredAttempt], given_up: Set[UUID]) -> list[ChargeToReturn]:
    """Return the charges that settle no payment: a part of the amount, or after the payment was given up."""
    found = []
    for answered in answers:
        operation, answer = answered.attempt.operation, answered.answer
        if operation.kind not in FIRST_KINDS:
            continue
        is_late = operation.id in given_up
        if isinstance(answer, PartlyApproved):
            reason = ReturnReason.CHARGED_LATE if is_late else ReturnReason.PARTIAL_APPROVAL
            amount_minor = answer.approved_minor
        elif isinstance(answer, Succeeded) and is_late:
            reason, amount_minor = ReturnReason.CHARGED_LATE, operation.amount_minor
        else:
            continue
        found.append(ChargeToReturn(operation, answered.attempt.payment, answer.gateway_id, reason, amount_minor))
    return found


def _undos(
    services: EngineServices, decided: Sequence[DecidedAttempt], settled: Set[UUID], now: datetime
) -> list[Operation]:
    """Release what captures that were declined leave held, unless the hold is gone anyway."""
    return [
        undo_operation(services.ids.new(), each.operation, each.decision.status, Cause.CAPTURE_FAILED, now)
        for each in decided
        if isinstance(each.decision, Settle)
        and each.operation.kind is Kind.CAPTURE
        and each.operation.id in settled
        and each.decision.status is OperationStatus.DECLINED
        and each.decision.failure_code != AUTHORIZATION_EXPIRED
    ]


def _retry_commands(
    services: EngineServices, decided: Sequence[DecidedAttempt], now: datetime
) -> list[tuple[Event, float]]:
    """Make a command for each operation to go on with, with its delay in seconds."""
    return [
        (
            run_operation_command(services.ids.new(), each.operation, now, each.decision.number, each.decision.ask),
            each.decision.seconds,
        )
        for each in decided
        if isinstance(each.decision, Retry)
    ]


def _is_fault(answered: AnsweredAttempt) -> bool:
    """Tell whether the answer counts against the gateway. A defect of ours does not."""
    answer = answered.answer
    return isinstance(answer, Unknown) and answer.fault is not Fault.INTERNAL and not answered.attempt.was_pending


def _ended(decided: Sequence[DecidedAttempt], settled: Set[UUID]) -> list[EndedOperation]:
    """Return the operations that this call settled. The gateway may still do what was given up, or take back a refund.

    Most of them are charges that end for good, and are left out.
    """
    return [
        EndedOperation(each.operation, each.decision.status, each.decision.gave_up)
        for each in decided
        if isinstance(each.decision, Settle)
        and (each.decision.gave_up or each.operation.kind is Kind.REFUND)
        and each.operation.id in settled
    ]


def _given_up(transaction: Transaction, answers: Sequence[AnsweredAttempt], settled: Set[UUID]) -> set[UUID]:
    """Find the charged payments that had been settled before, and without the charge."""
    charged = {
        answered.attempt.operation.id
        for answered in answers
        if isinstance(answered.answer, Succeeded | PartlyApproved)
        and answered.attempt.operation.kind in FIRST_KINDS
        and answered.attempt.operation.id not in settled
    }
    return operations.find_given_up(transaction, list(charged))


def _settled_result(decided: DecidedAttempt, settled: Set[UUID], given_up: Set[UUID]) -> PaymentResult:
    answered, decision = decided.answered, decided.decision
    operation, answer = decided.operation, answered.answer
    if given_up and operation.id in given_up:
        return _result(answered, PaymentOutcome.CHARGED_TOO_LATE, TOO_LATE_ERROR)
    if isinstance(decision, Blocked):
        return _result(answered, PaymentOutcome.REFUSED, decision.error)
    if isinstance(decision, Settle) and operation.id in settled:
        if decision.status is OperationStatus.SUCCEEDED:
            return _result(answered, PaymentOutcome.SUCCEEDED)
        return _result(answered, PaymentOutcome.FAILED, _left_behind(operation))
    if isinstance(answer, Contradictory):
        return _result(answered, PaymentOutcome.UNKNOWN, answer.error)
    return _result(answered, _OPEN_OUTCOMES.get(type(answer), PaymentOutcome.UNKNOWN))


def _left_behind(operation: Operation) -> str | None:
    """Return what a person has to do about money that an operation, now declined, leaves with the gateway."""
    if operation.cause not in {Cause.MERCHANT, Cause.EXPIRY}:
        return NOT_GIVEN_BACK_ERROR
    return HELD_ERROR if operation.kind is Kind.VOID else None


def _result(answered: AnsweredAttempt, outcome: PaymentOutcome, error: str | None = None) -> PaymentResult:
    operation = answered.attempt.operation
    return PaymentResult(operation.payment_id, operation.correlation_id, outcome, error, operation.kind)
