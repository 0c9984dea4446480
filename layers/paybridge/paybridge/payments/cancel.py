"""Cancel a payment before its money is taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.events import PAYMENT_CANCELED
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.holding import UNCHARGED, begin_cancellation, cancel_uncharged
from paybridge.payments.domain.operation import Kind, new_operation
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import Keyed, KeyedOutcome, accepted
from paybridge.payments.store import holding
from paybridge.payments.store.ordered_operations import Order
from paybridge.payments.take_order import Plan, take_order
from paybridge.payments.tell_progress import created_command, step_of


def cancel_operation(payment_id: UUID) -> str:
    """Return what an idempotency key is for: cancellations of this payment."""
    return f"cancel_payment:{payment_id}"


def cancel_payment(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    keyed: Keyed,
    payment_id: UUID,
    reason: str | None,
    correlation_id: str,
) -> KeyedOutcome | OrderRefusal | None:
    """Cancel the payment at once if nothing was asked of the gateway, or begin to release its authorization.

    The answer is the payment, canceled or with its `pending_operation`. A charge that is under way is never canceled;
    see `take_order` for the rest.
    """

    def plan(payment: Payment) -> Plan | OrderRefusal:
        now = clock.now()
        if payment.status in UNCHARGED:
            return _plan_cancellation(database, keyed, ids, payment, reason, now)
        return _plan_release(keyed, ids, payment, reason, correlation_id, now)

    return take_order(database, keyed, payment_id, plan)


def _plan_cancellation(
    database: Database, keyed: Keyed, ids: Ids, payment: Payment, reason: str | None, now: datetime
) -> Plan:
    canceled = cancel_uncharged(payment, reason, now)
    step = step_of(ids, payment, canceled, PAYMENT_CANCELED, now)
    claim, answer = accepted(keyed, payment.id, orjson.dumps(payment_view(canceled)), now)
    order = Order(payment, None, (step.event,), claim, created_command(database, ids, step, now))
    return Plan(order, partial(holding.cancel_uncharged, reason=reason), answer)


def _plan_release(
    keyed: Keyed, ids: Ids, payment: Payment, reason: str | None, correlation_id: str, now: datetime
) -> Plan | OrderRefusal:
    operation_id = ids.new()
    begun = begin_cancellation(payment, operation_id, now)
    if isinstance(begun, OrderRefusal):
        return begun
    operation = new_operation(
        Kind.VOID, payment, payment.authorized_minor, id_=operation_id, correlation_id=correlation_id, now=now
    )
    claim, answer = accepted(keyed, payment.id, orjson.dumps(payment_view(begun)), now)
    command = run_operation_command(ids.new(), operation, now)
    return Plan(
        Order(payment, replace(operation, reason=reason), (command,), claim), holding.begin_cancellation, answer
    )
