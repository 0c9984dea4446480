"""First step of the engine: decide, and commit each attempt before the gateway is called."""

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
from paybridge.payments.domain.attempts import AttemptStep, Defer, Start, last_attempt, next_step
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.operation import DEFAULT_GATEWAY, Operation, OperationStatus, first_operation
from paybridge.payments.domain.payment import Payment, Status, begin_processing
from paybridge.payments.gateway_watch import GatewayWatch, call_of, hold_back
from paybridge.payments.hold_suspects import hold_suspects
from paybridge.payments.records import (
    Attempt,
    BatchStart,
    EngineServices,
    OperationOrder,
    PaymentOutcome,
    PaymentResult,
)
from paybridge.payments.store import attempts, operations
from paybridge.payments.store.attempts import AttemptStart
from paybridge.payments.store.operations import MerchantChoice
from paybridge.payments.tell_progress import PaymentStep, add_steps, step_of

# A payment, its operation as the database holds it or as it begins, and what to do.
PlannedOperation = tuple[Payment, Operation, AttemptStep]


def start_attempts(services: EngineServices, orders: Sequence[OperationOrder], watch: GatewayWatch) -> BatchStart:
    """Start an attempt for every order that still needs one; each order is for another operation.

    While a circuit is open, orders return to the outbox until it may be tried again; that uses up no attempt. An
    operation whose row another transaction holds is put off for LOCKED_RETRY_SECONDS. One that fails in another way is
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
            refused += put_off(services, transaction, locked)
    return BatchStart(
        attempts=[attempt for start in starts for attempt in start.attempts],
        results=[result for start in starts for result in start.results] + refused,
    )


def _start_together(services: EngineServices, watch: GatewayWatch, orders: Sequence[OperationOrder]) -> BatchStart:
    with services.database.transaction(BATCH_LOCK_SECONDS_MAX) as transaction:
        found = _lock(transaction, orders)
        # The clock is read once the rows are locked: a wait for the lock must not make a lease look alive.
        now = services.clock.now()
        choices = _choices(transaction, found)
        planned = _plan(services, orders, found, choices, now)
        planned = _hold_back(services, watch, transaction, planned, now)
        planned, held = _screen(services, transaction, planned, choices, now)
        started = _start(services, transaction, planned, choices, now)
        results = held + _defer(services, transaction, planned, now)
        results += put_off(services, transaction, [order for order in orders if order.id not in found])
    return BatchStart(started, results)


def _lock(transaction: Transaction, orders: Sequence[OperationOrder]) -> dict[UUID, tuple[Payment, Operation | None]]:
    """Lock what the orders are about, and return it by the id of the operation; what others hold is left out."""
    first = [order.id for order in orders if order.id == order.payment_id]
    payments = operations.lock_payments(transaction, first)
    # Only a payment that is processing has an operation: a batch of new payments need not ask.
    begun = operations.find(transaction, [each.id for each in payments if each.status is not Status.PENDING])
    found = {payment.id: (payment, begun.get(payment.id)) for payment in payments}
    later = operations.lock_later(transaction, [order.id for order in orders if order.id != order.payment_id])
    if later:
        owners = operations.read_payments(transaction, (each.payment_id for each in later.values()))
        # The payment may be in an archived month.
        found |= {each.id: (owners[each.payment_id], each) for each in later.values() if each.payment_id in owners}
    return found


def _choices(
    transaction: Transaction, found: Mapping[UUID, tuple[Payment, Operation | None]]
) -> Mapping[UUID, MerchantChoice]:
    """Return what the merchants of the payments that begin have chosen."""
    beginning = {payment.merchant_id for payment, _ in found.values() if payment.status is Status.PENDING}
    return operations.find_choices(transaction, beginning) if beginning else {}


def _plan(
    services: EngineServices,
    orders: Sequence[OperationOrder],
    found: Mapping[UUID, tuple[Payment, Operation | None]],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> list[PlannedOperation]:
    """Decide about each operation, and choose the gateway of those that begin."""
    planned: list[PlannedOperation] = []
    for order in orders:
        if order.id not in found:
            continue
        payment, operation = found[order.id]
        if operation is None and payment.status is Status.PENDING:
            choice = choices.get(payment.merchant_id)
            gateway = DEFAULT_GATEWAY if choice is None else choice.gateway
            planned.append((payment, first_operation(payment, gateway, now), Start(1, ask_first=False)))
        elif operation is not None:
            is_new = operation.status is OperationStatus.ACCEPTED
            asked = (order.number, order.ask)
            step = next_step(is_new, last_attempt(operation), asked, now, services.lease_seconds)
            planned.append((payment, operation, step))
    return planned


def _hold_back(
    services: EngineServices,
    watch: GatewayWatch,
    transaction: Transaction,
    planned: list[PlannedOperation],
    now: datetime,
) -> list[PlannedOperation]:
    """Defer the starts that the circuits do not allow now. Asking for what is pending is none of their concern."""
    calls = [
        call_of(payment, operation)
        for payment, operation, step in planned
        if isinstance(step, Start) and not step.was_pending
    ]
    held_seconds = hold_back(watch, transaction, calls, services.circuit_policy, now) if calls else {}
    if not held_seconds:
        return planned
    return [
        (payment, operation, Defer(step.number, held_seconds[operation.id], step.ask))
        if isinstance(step, Start) and operation.id in held_seconds
        else (payment, operation, step)
        for payment, operation, step in planned
    ]


def _screen(
    services: EngineServices,
    transaction: Transaction,
    planned: list[PlannedOperation],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> tuple[list[PlannedOperation], list[PaymentResult]]:
    """Return what may go on after the payments that begin are screened, and the results of those that may not."""
    beginning = [
        payment for payment, _, step in planned if payment.status is Status.PENDING and isinstance(step, Start)
    ]
    if not beginning:
        return planned, []
    screened, held = hold_suspects(services, transaction, beginning, choices, now)
    if not screened:
        return planned, held
    after = {payment.id: payment for payment in screened}
    return [
        (after.get(payment.id, payment), operation, step)
        for payment, operation, step in planned
        if payment.id not in after or after[payment.id].status is Status.PENDING
    ], held


def _start(
    services: EngineServices,
    transaction: Transaction,
    planned: Sequence[PlannedOperation],
    choices: Mapping[UUID, MerchantChoice],
    now: datetime,
) -> list[Attempt]:
    """Record the attempts to start, and an event for each payment that becomes processing."""
    started: list[Attempt] = []
    begun: list[tuple[Payment, Operation]] = []
    rows: list[AttemptStart] = []
    steps: list[PaymentStep] = []
    for payment, operation, step in planned:
        if not isinstance(step, Start):
            continue
        current = payment
        if payment.status is Status.PENDING:
            current = begin_processing(payment, operation.gateway, now)
            begun.append((current, operation))
            steps.append(step_of(services.ids, payment, current, PAYMENT_PROCESSING, now))
        else:
            rows.append(AttemptStart(operation.id, step.number, step.ask))
        begun_at = step.begun_at or now
        started.append(Attempt(current, operation, step.number, begun_at, step.ask_first, step.ask, step.was_pending))
    attempts.begin(transaction, begun, now)
    attempts.start(transaction, rows, now)
    add_steps(transaction, services.ids, steps, choices, now)
    return started


def _defer(
    services: EngineServices, transaction: Transaction, planned: Sequence[PlannedOperation], now: datetime
) -> list[PaymentResult]:
    """Put a delayed command in the outbox for each deferred operation."""
    deferred = [(operation, step) for _, operation, step in planned if isinstance(step, Defer)]
    commands = [
        (run_operation_command(services.ids.new(), operation, now, step.number, step.ask), step.seconds)
        for operation, step in deferred
    ]
    outbox.add_delayed(transaction, commands)
    return [
        PaymentResult(each.payment_id, each.correlation_id, PaymentOutcome.DEFERRED, kind=each.kind)
        for each, _ in deferred
    ]


def put_off(
    services: EngineServices, transaction: Transaction, orders: Sequence[OperationOrder]
) -> list[PaymentResult]:
    """Put a command in the outbox for each operation that another transaction holds; report those that do not exist.

    Operations that are settled are left out: their message came late.
    """
    asked = {order.id: order for order in orders}
    found = operations.find_skipped(transaction, {order.id: order.payment_id for order in orders})
    now = services.clock.now()
    locked = [operation for operation in found if operation.is_open]
    commands = [
        run_operation_command(services.ids.new(), each, now, asked[each.id].number, asked[each.id].ask)
        for each in locked
    ]
    outbox.add_delayed(transaction, [(command, LOCKED_RETRY_SECONDS) for command in commands])
    absent = asked.keys() - {operation.id for operation in found}
    return [
        *(PaymentResult(each.payment_id, each.correlation_id, PaymentOutcome.DEFERRED) for each in locked),
        *(
            PaymentResult(asked[id_].payment_id, "", PaymentOutcome.MISSING, "there is no such payment or operation")
            for id_ in absent
        ),
    ]
