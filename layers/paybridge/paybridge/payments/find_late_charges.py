"""Ask the gateway for the charges of payments that were given up.

    take      the checks that are due                        one transaction
    ask       the gateway, for all of them at once           no transaction
    record    what was found, and the next check             one transaction

A payment that was given up stays failed: its merchant has been told. What the gateway charged all the same is recorded
as a charge to return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from paybridge.core.errors import LockTimeout, reason_of
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.call_gateway import gateway_request, never_raising
from paybridge.payments.domain.events import find_late_charge_command
from paybridge.payments.domain.gateway_answers import Contradictory, Fault, LookUpAnswer, Unknown
from paybridge.payments.domain.late_charges import ChargedLate, LookAgain, LookNoMore, after_look_up
from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.give_back import give_back
from paybridge.payments.records import EngineServices, PaymentOutcome, PaymentResult
from paybridge.payments.store import late_charge_checks, operations
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason
from paybridge.payments.store.late_charge_checks import TakenCheck


class LateCheck(NamedTuple):
    """A check to make now, and the operation that was given up with its payment."""

    taken: TakenCheck
    operation: Operation
    payment: Payment


Answer = tuple[LateCheck, LookUpAnswer]
DecidedCheck = tuple[LateCheck, ChargedLate | LookAgain | LookNoMore]


async def find_late_charges(services: EngineServices, payment_ids: Sequence[UUID]) -> list[PaymentResult]:
    """Ask for the charges of these payments where that is due, and return the results that need a person.

    Raises DatabaseUnavailable and LockTimeout: then the messages must be redelivered.
    """
    if not payment_ids:
        return []
    checks = await asyncio.to_thread(take, services, payment_ids)
    answers = await asyncio.gather(*(_look_up(services, check) for check in checks))
    return await asyncio.to_thread(record, services, list(zip(checks, answers, strict=True)))


def take(services: EngineServices, payment_ids: Sequence[UUID]) -> list[LateCheck]:
    """Take the checks among these payments that are due. Raises DatabaseUnavailable and LockTimeout."""
    with services.database.transaction() as transaction:
        taken = late_charge_checks.take(transaction, payment_ids, services.lease_seconds)
        ids = [check.payment_id for check in taken]
        found, payments = operations.find_first(transaction, ids), operations.read_payments(transaction, ids)
    return [LateCheck(check, found[check.payment_id], payments[check.payment_id]) for check in taken]


async def _look_up(services: EngineServices, check: LateCheck) -> LookUpAnswer:
    gateway = services.gateways.get(check.operation.gateway)
    if gateway is None:
        return Unknown(Fault.NOT_SERVED, "no gateway of this name is configured")
    return await never_raising(gateway.find(gateway_request(check.operation, check.payment)))


def record(services: EngineServices, answers: Sequence[Answer]) -> list[PaymentResult]:
    """Commit what was found and when to ask next, together; return the results that need a person.

    Raises DatabaseUnavailable and LockTimeout.
    """
    if not answers:
        return []
    refused: list[PaymentResult] = []

    def on_bad_answer(answer: Answer, error: Exception) -> None:
        # The check is due again after its lease, and the sweep finds it.
        if not isinstance(error, LockTimeout):
            refused.append(_result(answer[0], PaymentOutcome.REFUSED, reason_of(error)))

    def record_together(group: Sequence[Answer]) -> list[PaymentResult]:
        return _record_together(services, group)

    recorded = run_isolating_bad_items(record_together, answers, on_bad_answer)
    return [result for results in recorded for result in results] + refused


def _record_together(services: EngineServices, answers: Sequence[Answer]) -> list[PaymentResult]:
    now = services.clock.now()
    decided = [
        (
            check,
            after_look_up(
                answer,
                check.operation.amount_minor,
                (now - check.taken.given_up_at).total_seconds(),
                services.late_charge_ages_seconds,
            ),
        )
        for check, answer in answers
    ]
    with services.database.transaction() as transaction:
        found = [_charge_to_return(check, step) for check, step in decided if isinstance(step, ChargedLate)]
        new = give_back(services.ids, transaction, found, now)
        _look_again(services, transaction, decided)
        over = [check.payment.id for check, step in decided if not isinstance(step, LookAgain)]
        late_charge_checks.end(transaction, over)
    return [
        *(_late_result(check, step) for check, step in decided if check.payment.id in new),
        *(
            _result(check, PaymentOutcome.UNKNOWN, answer.error)
            for check, answer in answers
            if isinstance(answer, Contradictory)
        ),
    ]


def _look_again(services: EngineServices, transaction: Transaction, decided: Sequence[DecidedCheck]) -> None:
    now = services.clock.now()
    again = [(check, step.seconds) for check, step in decided if isinstance(step, LookAgain)]
    late_charge_checks.postpone(transaction, [(check.payment.id, seconds) for check, seconds in again])
    commands = [
        (
            find_late_charge_command(
                services.ids.new(), check.payment.id, check.payment.merchant_id, check.payment.correlation_id, now
            ),
            seconds,
        )
        for check, seconds in again
    ]
    outbox.add_delayed(transaction, commands)


def _charge_to_return(check: LateCheck, found: ChargedLate) -> ChargeToReturn:
    return ChargeToReturn(
        check.operation, found.gateway_id, ReturnReason.CHARGED_LATE, found.amount_minor, check.payment.currency
    )


def _late_result(check: LateCheck, step: ChargedLate | LookAgain | LookNoMore) -> PaymentResult:
    amount = f"{step.amount_minor} minor units of {check.payment.currency}" if isinstance(step, ChargedLate) else ""
    error = f"the gateway charged a payment that had been given up: {amount} are given back"
    return _result(check, PaymentOutcome.CHARGED_TOO_LATE, error)


def _result(check: LateCheck, outcome: PaymentOutcome, error: str) -> PaymentResult:
    return PaymentResult(check.payment.id, check.payment.correlation_id, outcome, error)
