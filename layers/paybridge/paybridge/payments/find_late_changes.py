"""Ask the gateway about operations that have ended, and record what it did since.

    take      the checks that were sent                      one transaction
    ask       the gateway, for all of them at once           no transaction
    record    what was found, and when to ask next           one transaction

A payment or a refund that was given up stays failed: its merchant has been told. What the gateway charged all the same
is given back, and what it gave back all the same is recorded as a second refund. A refund that succeeded and was taken
back fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from typing import NamedTuple
from uuid import UUID

from paybridge.core.errors import ConstraintViolated, LockTimeout, reason_of
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.core.times import made_at
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.payments.call_gateway import gateway_request, never_raising
from paybridge.payments.correct_refunds import add_late_refund, take_back
from paybridge.payments.domain.gateway_answers import Contradictory, Fault, LookUpAnswer, Unknown
from paybridge.payments.domain.late_changes import (
    ChargedLate,
    LateChange,
    LateStep,
    LookAgain,
    RefundedLate,
    TakenBack,
    after_look_up,
)
from paybridge.payments.domain.notice import ARCHIVED_SECONDS
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.refund import is_refund
from paybridge.payments.give_back import give_back
from paybridge.payments.plan_late_checks import EndedOperation, plan_late_checks
from paybridge.payments.records import EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.store import late_checks, operations, refund_corrections
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason
from paybridge.payments.store.late_checks import TakenCheck

# What refuses changes of a month that is being archived, or was restored for reading.
ARCHIVED_CONSTRAINT = "archived_month_is_read_only"


class LateCheck(NamedTuple):
    """A check to make now, and the operation that has ended with its payment."""

    taken: TakenCheck
    operation: Operation
    payment: Payment


class TakenChecks(NamedTuple):
    """The checks to make now, and the results of those that were put off."""

    checks: list[LateCheck]
    put_off: list[PaymentResult]


class DecidedCheck(NamedTuple):
    """A check, and what follows from the gateway's answer."""

    check: LateCheck
    step: LateStep

    @property
    def operation(self) -> Operation:
        """Return the operation that was asked about."""
        return self.check.operation


Answer = tuple[LateCheck, LookUpAnswer]


async def find_late_changes(services: EngineServices, operation_ids: Sequence[UUID]) -> list[PaymentResult]:
    """Ask about these operations where a check was sent, and return the results of those that have changed.

    Raises DatabaseUnavailable and LockTimeout: then the messages must be redelivered.
    """
    if not operation_ids:
        return []
    taken = await asyncio.to_thread(take, services, operation_ids)
    answers = await asyncio.gather(*(_look_up(services, check) for check in taken.checks))
    return taken.put_off + await asyncio.to_thread(record, services, list(zip(taken.checks, answers, strict=True)))


def take(services: EngineServices, operation_ids: Sequence[UUID]) -> TakenChecks:
    """Take the checks of these operations that were sent, for the lease.

    Those whose operation or payment is archived are put off. Raises DatabaseUnavailable and LockTimeout.
    """
    with services.database.transaction() as transaction:
        taken = late_checks.take(transaction, operation_ids, services.lease_seconds)
        found = operations.find(transaction, [check.operation_id for check in taken])
        payments = operations.read_payments(transaction, (each.payment_id for each in found.values()))
        here = found.keys() - {each.id for each in found.values() if each.payment_id not in payments}
        absent = [each for each in taken if each.operation_id not in here]
        late_checks.postpone(transaction, [(each.operation_id, ARCHIVED_SECONDS) for each in absent])
    checks = [
        LateCheck(each, found[each.operation_id], payments[each.payment_id])
        for each in taken
        if each.operation_id in here
    ]
    return TakenChecks(checks, [_archived(each) for each in absent])


async def _look_up(services: EngineServices, check: LateCheck) -> LookUpAnswer:
    gateway = services.gateways.get(check.operation.gateway)
    if gateway is None:
        return Unknown(Fault.NOT_SERVED, "no gateway of this name is configured")
    return await never_raising(gateway.find(gateway_request(check.operation, check.payment)))


def record(services: EngineServices, answers: Sequence[Answer]) -> list[PaymentResult]:
    """Commit what was found and when to ask next, together; return the results of what has changed.

    Raises DatabaseUnavailable and LockTimeout.
    """
    if not answers:
        return []
    refused: list[PaymentResult] = []
    archived: list[TakenCheck] = []

    def on_bad_answer(answer: Answer, error: Exception) -> None:
        if isinstance(error, ConstraintViolated) and error.constraint == ARCHIVED_CONSTRAINT:
            archived.append(answer[0].taken)
            return
        # The check is due again after its lease.
        if not isinstance(error, LockTimeout):
            refused.append(_result(answer[0].operation, PaymentOutcome.REFUSED, reason_of(error)))

    def record_together(group: Sequence[Answer]) -> list[PaymentResult]:
        return _record_together(services, group)

    recorded = run_isolating_bad_items(record_together, answers, on_bad_answer)
    if archived:
        with services.database.transaction() as transaction:
            late_checks.postpone(transaction, [(each.operation_id, ARCHIVED_SECONDS) for each in archived])
    return [result for results in recorded for result in results] + refused + list(map(_archived, archived))


def _record_together(services: EngineServices, answers: Sequence[Answer]) -> list[PaymentResult]:
    now = services.clock.now()
    decided = [
        DecidedCheck(
            check,
            after_look_up(
                check.operation, answer, (now - check.taken.ended_at).total_seconds(), services.late_check_ages
            ),
        )
        for check, answer in answers
    ]
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        changing = [each for each in decided if isinstance(each.step, LateChange)]
        refund_corrections.lock_payments(transaction, [each.operation.payment_id for each in changing])
        # A check that another process has ended since its lease is not acted on twice.
        ended = late_checks.end(
            transaction, [each.operation.id for each in decided if not isinstance(each.step, LookAgain)]
        )
        late_checks.postpone(
            transaction,
            [(each.operation.id, each.step.seconds) for each in decided if isinstance(each.step, LookAgain)],
        )
        results = [
            *_give_back(services, transaction, decided),
            *_take_back(services, transaction, decided, ended),
            *_add_refunds(services, transaction, decided, ended),
        ]
    return results + [
        _result(check.operation, PaymentOutcome.UNKNOWN, answer.error)
        for check, answer in answers
        if isinstance(answer, Contradictory)
    ]


def _give_back(
    services: EngineServices, transaction: Transaction, decided: Sequence[DecidedCheck]
) -> list[PaymentResult]:
    """Give back what was charged late, once."""
    found = [
        ChargeToReturn(
            each.operation, each.check.payment, step.gateway_id, ReturnReason.CHARGED_LATE, step.amount_minor
        )
        for each in decided
        if isinstance(step := each.step, ChargedLate)
    ]
    new = give_back(services.ids, transaction, found, services.clock.now())
    return [
        _result(
            charge.operation,
            PaymentOutcome.CHARGED_TOO_LATE,
            f"the gateway charged a payment that had been given up: {charge.amount_minor} minor units of "
            f"{charge.payment.currency} are given back",
        )
        for charge in found
        if charge.payment.id in new
    ]


def _take_back(
    services: EngineServices, transaction: Transaction, decided: Sequence[DecidedCheck], ended: Set[UUID]
) -> list[PaymentResult]:
    refunds = [each.operation for each in decided if isinstance(each.step, TakenBack) and each.operation.id in ended]
    return [
        _result(
            refund,
            PaymentOutcome.REFUND_TAKEN_BACK,
            None if is_refund(refund) else "the gateway took back a refund that undid a charge: give it back again",
        )
        for refund in take_back(services.ids, transaction, refunds, services.clock.now())
    ]


def _add_refunds(
    services: EngineServices, transaction: Transaction, decided: Sequence[DecidedCheck], ended: Set[UUID]
) -> list[PaymentResult]:
    """Record what was refunded late, once, and plan to ask whether that stands."""
    results: list[PaymentResult] = []
    now = services.clock.now()
    for each in decided:
        operation, step = each.operation, each.step
        if not isinstance(step, RefundedLate) or operation.id not in ended:
            continue
        if refund_corrections.is_recorded(transaction, operation.payment_id, step.gateway_id):
            continue
        refund = add_late_refund(services.ids, transaction, operation, step, now)
        if refund is not None:
            again, error = EndedOperation(refund, refund.status), None
        elif operations.read_payments(transaction, [operation.payment_id])[operation.payment_id].refunding_minor:
            # Other refunds have reserved the room. They may fail and leave it to this one, so it is looked up again.
            again, error = EndedOperation(operation, operation.status, gave_up=True), None
        else:
            again, error = None, _no_room(step, each.check.payment.currency)
        plan_late_checks(transaction, [again] if again else [], services.late_check_ages, now)
        results.append(_result(operation, PaymentOutcome.REFUNDED_TOO_LATE, error))
    return results


def _archived(check: TakenCheck) -> PaymentResult:
    """Return the result of a check that waits for its months, which an operator may restore."""
    months = sorted({f"{made_at(id_):%Y-%m}" for id_ in (check.payment_id, check.operation_id)})
    orders = " and ".join(f"`paybridge archive restore {month}`" for month in months)
    error = f"the gateway may have changed it, and its month is archived: it is asked again each hour, so run {orders}"
    return PaymentResult(check.payment_id, check.correlation_id, PaymentOutcome.ARCHIVED, error)


def _no_room(found: RefundedLate, currency: str) -> str:
    return (
        f"the gateway made a refund that had been given up, and the payment has no room for it: "
        f"{found.amount_minor} minor units of {currency} too much were given back"
    )


def _result(operation: Operation, outcome: PaymentOutcome, error: str | None) -> PaymentResult:
    return PaymentResult(operation.payment_id, operation.correlation_id, outcome, error, operation.kind)
