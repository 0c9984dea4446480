"""First step of processing: decide, and commit what is about to be tried before anybody is asked for money."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.events import PAYMENT_PROCESSING, Event
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.charging import Defer, Start, Step, next_step
from paybridge.payments.domain.circuit import Circuit, allowed_calls
from paybridge.payments.domain.events import payment_event, process_payment
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.processing import CIRCUIT, Attempt, Begun, ChargeOrder, Processed, Processing
from paybridge.payments.store import attempts, circuits
from paybridge.payments.store.attempts import Chargeable


def begin_attempts(processing: Processing, orders: Sequence[ChargeOrder]) -> Begun:
    """Starts an attempt for every order that still needs one, in one transaction; each is for another payment.

    While the circuit is open, orders go back to the outbox until it may be tried again; no attempt is spent on that.
    Raises DatabaseUnavailable.
    """
    asked = {order.payment_id: order.number for order in orders}
    with processing.database.transaction() as transaction:
        # The clock is read once the rows are locked: a wait for the lock must not make a lease look alive.
        chargeable = attempts.lock_chargeable(transaction, list(asked))
        now = processing.clock.now()
        circuit = circuits.read(transaction, CIRCUIT)
        steps = [
            (one, next_step(one.payment.status, one.last, asked[one.payment.id], now, processing.lease_seconds))
            for one in chargeable
        ]
        steps = _hold_back(steps, circuit, now)
        begun = [_begun(one, step, now) for one, step in steps if isinstance(step, Start)]
        _record_starts(processing, transaction, begun, now)
        deferred = [(one.payment, step) for one, step in steps if isinstance(step, Defer)]
        outbox.add_delayed(transaction, [_come_back(processing, payment, step, now) for payment, step in deferred])
        missing = _missing(transaction, asked.keys() - {one.payment.id for one in chargeable})
    put_off = [Processed(payment.id, payment.correlation_id, "deferred") for payment, _ in deferred] + missing
    return Begun([attempt for attempt, _ in begun], put_off, circuit)


def _missing(transaction: Transaction, ids: Set[UUID]) -> list[Processed]:
    """Those of the payments that do not exist; the others are settled, and a message about them comes late."""
    absent = ids - attempts.statuses(transaction, list(ids)).keys()
    return [Processed(id_, "", "missing", "there is no such payment") for id_ in absent]


def _hold_back(steps: list[tuple[Chargeable, Step]], circuit: Circuit, now: datetime) -> list[tuple[Chargeable, Step]]:
    wanted = sum(isinstance(step, Start) for _, step in steps)
    allowed = allowed_calls(circuit, wanted, now)
    if allowed == wanted or circuit.open_until is None:
        return steps
    wait_seconds = max((circuit.open_until - now).total_seconds(), 1.0)
    held: list[tuple[Chargeable, Step]] = []
    for one, step in steps:
        if isinstance(step, Start) and allowed <= 0:
            held.append((one, Defer(step.number, wait_seconds)))
            continue
        allowed -= isinstance(step, Start)
        held.append((one, step))
    return held


def _begun(one: Chargeable, step: Start, now: datetime) -> tuple[Attempt, bool]:
    """The attempt, and whether it is what makes the payment processing."""
    was_pending = one.payment.status is Status.PENDING
    payment = one.payment
    if was_pending:
        payment = replace(payment, status=Status.PROCESSING, last_sequence=payment.last_sequence + 1, updated_at=now)
    return Attempt(payment, step.number, step.ask_first), was_pending


def _record_starts(
    processing: Processing, transaction: Transaction, begun: Sequence[tuple[Attempt, bool]], now: datetime
) -> None:
    if not begun:
        return
    rows = [(attempt.payment.id, attempt.number, attempt.payment.last_sequence) for attempt, _ in begun]
    attempts.start(transaction, rows, now)
    facts = [
        payment_event(processing.ids.new(), PAYMENT_PROCESSING, attempt.payment, now)
        for attempt, was_pending in begun
        if was_pending
    ]
    outbox.add(transaction, facts)


def _come_back(processing: Processing, payment: Payment, step: Defer, now: datetime) -> tuple[Event, float]:
    command = process_payment(
        processing.ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, step.number
    )
    return command, step.seconds
