"""First step of charging: decide, and commit each attempt before the gateway is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from paybridge.core.errors import LockTimeout, reason_of
from paybridge.core.events import PAYMENT_PROCESSING
from paybridge.core.isolation import LOCKED_RETRY_SECONDS, run_isolating_bad_items
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.domain.charging import AttemptStep, Defer, Start, next_step
from paybridge.payments.domain.events import payment_event, process_payment_command, retry_command
from paybridge.payments.domain.payment import Payment, Status, begin_processing
from paybridge.payments.gateway_watch import GatewayWatch, hold_back
from paybridge.payments.records import (
    Attempt,
    BatchStart,
    EngineServices,
    OperationOrder,
    PaymentOutcome,
    PaymentResult,
)
from paybridge.payments.store import attempts
from paybridge.payments.store.attempts import AttemptStart

PlannedPayment = tuple[Payment, AttemptStep]


def start_attempts(services: EngineServices, orders: Sequence[OperationOrder], watch: GatewayWatch) -> BatchStart:
    """Start an attempt for every order that still needs one; each order is for another payment.

    While a circuit is open, orders return to the outbox until it may be tried again; that uses up no attempt. A payment
    whose row another transaction holds is put off for LOCKED_RETRY_SECONDS. A payment that fails in another way is
    reported and left as it was. Raises DatabaseUnavailable and LockTimeout.
    """
    refused: list[PaymentResult] = []
    locked: list[OperationOrder] = []

    def on_bad_order(order: OperationOrder, error: Exception) -> None:
        if isinstance(error, LockTimeout):
            locked.append(order)
        else:
            refused.append(PaymentResult(order.payment_id, "", PaymentOutcome.REFUSED, reason_of(error)))

    starts = run_isolating_bad_items(partial(_start_together, services, watch), orders, on_bad_order)
    if locked:
        with services.database.transaction() as transaction:
            refused += put_off(services, transaction, {order.payment_id: (order.number, order.ask) for order in locked})
    return BatchStart(
        attempts=[attempt for start in starts for attempt in start.attempts],
        results=[result for start in starts for result in start.results] + refused,
    )


def _start_together(services: EngineServices, watch: GatewayWatch, orders: Sequence[OperationOrder]) -> BatchStart:
    asked = {order.payment_id: (order.number, order.ask) for order in orders}
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        chargeable = attempts.lock_chargeable(transaction, list(asked))
        # The clock is read once the rows are locked: a wait for the lock must not make a lease look alive.
        now = services.clock.now()
        planned: list[PlannedPayment] = []
        for payment, last in chargeable:
            step = next_step(payment.status, last, asked[payment.id], now, services.lease_seconds)
            planned.append((payment, step))
        planned = _hold_back(services, watch, transaction, planned, now)
        started = _start(services, transaction, planned, now)
        results = _defer(services, transaction, planned, now)
        for payment, _ in planned:
            del asked[payment.id]
        results += put_off(services, transaction, asked)
    return BatchStart(started, results)


def _hold_back(
    services: EngineServices,
    watch: GatewayWatch,
    transaction: Transaction,
    planned: list[PlannedPayment],
    now: datetime,
) -> list[PlannedPayment]:
    """Defer the starts that the circuits do not allow now. Asking for a pending charge is none of their concern."""
    starting = [payment for payment, step in planned if isinstance(step, Start) and not step.was_pending]
    held_seconds = hold_back(watch, transaction, starting, services.circuit_policy, now) if starting else {}
    if not held_seconds:
        return planned
    return [
        (payment, Defer(step.number, held_seconds[payment.id], step.ask))
        if isinstance(step, Start) and payment.id in held_seconds
        else (payment, step)
        for payment, step in planned
    ]


def _start(
    services: EngineServices, transaction: Transaction, planned: Sequence[PlannedPayment], now: datetime
) -> list[Attempt]:
    """Record the attempts to start, and an event for each payment that becomes processing."""
    started: list[Attempt] = []
    events = []
    for payment, step in planned:
        if not isinstance(step, Start):
            continue
        current = payment
        if payment.status is Status.PENDING:
            current = begin_processing(payment, now)
            events.append(payment_event(services.ids.new(), PAYMENT_PROCESSING, current, now))
        started.append(Attempt(current, step.number, step.ask_first, step.ask, step.was_pending, step.begun_at))
    if started:
        rows = [AttemptStart(each.payment.id, each.number, each.payment.last_sequence, each.ask) for each in started]
        attempts.start(transaction, rows, now)
        outbox.add(transaction, events)
    return started


def _defer(
    services: EngineServices, transaction: Transaction, planned: Sequence[PlannedPayment], now: datetime
) -> list[PaymentResult]:
    """Put a delayed command in the outbox for each deferred payment."""
    deferred = [(payment, step) for payment, step in planned if isinstance(step, Defer)]
    commands = [
        (retry_command(services.ids.new(), payment, now, step.number, step.ask), step.seconds)
        for payment, step in deferred
    ]
    outbox.add_delayed(transaction, commands)
    return [PaymentResult(payment.id, payment.correlation_id, PaymentOutcome.DEFERRED) for payment, _ in deferred]


def put_off(
    services: EngineServices, transaction: Transaction, asked: Mapping[UUID, tuple[int, int]]
) -> list[PaymentResult]:
    """Put a command in the outbox for each payment that another transaction holds; report those that do not exist.

    `asked` are the numbers of the attempts and asks that were asked for, by the payment's id. Payments that are settled
    are left out: their message came late.
    """
    found = attempts.find_skipped(transaction, asked)
    now = services.clock.now()
    locked = [payment for payment in found if payment.is_open]
    commands = [
        process_payment_command(
            services.ids.new(), payment.id, payment.merchant_id, payment.correlation_id, now, *asked[payment.id]
        )
        for payment in locked
    ]
    outbox.add_delayed(transaction, [(command, LOCKED_RETRY_SECONDS) for command in commands])
    absent = asked.keys() - {payment.id for payment in found}
    return [
        *(PaymentResult(payment.id, payment.correlation_id, PaymentOutcome.DEFERRED) for payment in locked),
        *(PaymentResult(id_, "", PaymentOutcome.MISSING, "there is no such payment") for id_ in absent),
    ]
