"""First step of charging: decide, and commit each attempt before the gateway is called."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from functools import partial
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.core.events import PAYMENT_PROCESSING
from paybridge.core.isolation import run_isolating_bad_items
from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.charging import ChargeStep, Defer, Start, next_step
from paybridge.payments.domain.circuit import Circuit, allowed_calls
from paybridge.payments.domain.events import payment_event, retry_command
from paybridge.payments.domain.payment import Payment, Status, begin_processing
from paybridge.payments.records import (
    CIRCUIT,
    BatchStart,
    ChargeAttempt,
    ChargeOrder,
    ChargeServices,
    PaymentOutcome,
    PaymentResult,
)
from paybridge.payments.store import attempts, circuits
from paybridge.payments.store.attempts import AttemptStart

PlannedPayment = tuple[Payment, ChargeStep]


def start_attempts(services: ChargeServices, orders: Sequence[ChargeOrder]) -> BatchStart:
    """Start an attempt for every order that still needs one; each order is for another payment.

    While the circuit is open, orders return to the outbox until it may be tried again; that uses up no attempt. A
    payment whose change the database refuses is reported and left as it was. Raises DatabaseUnavailable and
    LockTimeout.
    """
    refused: list[PaymentResult] = []

    def on_bad_order(order: ChargeOrder, error: PaybridgeError) -> None:
        refused.append(PaymentResult(order.payment_id, "", PaymentOutcome.REFUSED, str(error)))

    starts = run_isolating_bad_items(partial(_start_together, services), orders, on_bad_order)
    return BatchStart(
        attempts=[attempt for start in starts for attempt in start.attempts],
        results=[result for start in starts for result in start.results] + refused,
        circuit=starts[-1].circuit if starts else Circuit(),
    )


def _start_together(services: ChargeServices, orders: Sequence[ChargeOrder]) -> BatchStart:
    asked_numbers = {order.payment_id: order.number for order in orders}
    with services.database.transaction() as transaction:
        chargeable = attempts.lock_chargeable(transaction, list(asked_numbers))
        # The clock is read once the rows are locked: a wait for the lock must not make a lease look alive.
        now = services.clock.now()
        circuit = circuits.read(transaction, CIRCUIT)
        planned: list[PlannedPayment] = []
        for payment, last in chargeable:
            step = next_step(payment.status, last, asked_numbers[payment.id], now, services.lease_seconds)
            planned.append((payment, step))
        planned = _hold_back(planned, circuit, now)
        started = _start(services, transaction, planned, now)
        results = _defer(services, transaction, planned, now)
        results += _missing(transaction, asked_numbers.keys() - {payment.id for payment, _ in planned})
    return BatchStart(started, results, circuit)


def _hold_back(planned: list[PlannedPayment], circuit: Circuit, now: datetime) -> list[PlannedPayment]:
    """Defer the starts that the circuit does not allow now."""
    wanted = sum(isinstance(step, Start) for _, step in planned)
    allowed = allowed_calls(circuit, wanted, now)
    if allowed == wanted or circuit.open_until is None:
        return planned
    wait_seconds = max((circuit.open_until - now).total_seconds(), 1.0)
    held: list[PlannedPayment] = []
    for payment, step in planned:
        if isinstance(step, Start) and allowed <= 0:
            held.append((payment, Defer(step.number, wait_seconds)))
        else:
            allowed -= isinstance(step, Start)
            held.append((payment, step))
    return held


def _start(
    services: ChargeServices, transaction: Transaction, planned: Sequence[PlannedPayment], now: datetime
) -> list[ChargeAttempt]:
    """Record the attempts to start, and an event for each payment that becomes processing."""
    started: list[ChargeAttempt] = []
    events = []
    for payment, step in planned:
        if not isinstance(step, Start):
            continue
        current = payment
        if payment.status is Status.PENDING:
            current = begin_processing(payment, now)
            events.append(payment_event(services.ids.new(), PAYMENT_PROCESSING, current, now))
        started.append(ChargeAttempt(current, step.number, step.ask_first))
    if started:
        rows = [AttemptStart(each.payment.id, each.number, each.payment.last_sequence) for each in started]
        attempts.start(transaction, rows, now)
        outbox.add(transaction, events)
    return started


def _defer(
    services: ChargeServices, transaction: Transaction, planned: Sequence[PlannedPayment], now: datetime
) -> list[PaymentResult]:
    """Put a delayed command in the outbox for each deferred payment."""
    deferred = [(payment, step) for payment, step in planned if isinstance(step, Defer)]
    commands = [
        (retry_command(services.ids.new(), payment, now, step.number), step.seconds) for payment, step in deferred
    ]
    outbox.add_delayed(transaction, commands)
    return [PaymentResult(payment.id, payment.correlation_id, PaymentOutcome.DEFERRED) for payment, _ in deferred]


def _missing(transaction: Transaction, ids: Set[UUID]) -> list[PaymentResult]:
    """Report the payments that do not exist. Those that do are settled, and their message came late."""
    absent = ids - attempts.statuses(transaction, list(ids)).keys()
    return [PaymentResult(id_, "", PaymentOutcome.MISSING, "there is no such payment") for id_ in absent]
