"""Capture what was authorized."""

from __future__ import annotations

from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.core.money import places_to_minor
from paybridge.database.database import Database
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.gateway_amounts import ensure_expressible
from paybridge.payments.domain.holding import begin_capture
from paybridge.payments.domain.operation import Kind, new_operation
from paybridge.payments.domain.payment import Payment, payment_view
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import Keyed, KeyedOutcome, accepted
from paybridge.payments.store import holding
from paybridge.payments.store.ordered_operations import Order
from paybridge.payments.take_order import Plan, take_order


def capture_operation(payment_id: UUID) -> str:
    """Return what an idempotency key is for: captures of this payment."""
    return f"capture_payment:{payment_id}"


def capture_payment(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    keyed: Keyed,
    payment_id: UUID,
    amount: str | None,
    correlation_id: str,
) -> KeyedOutcome | OrderRefusal | None:
    """Begin to capture this amount, or all that was authorized. What is not captured is released.

    The answer is the payment with its `pending_operation`. Raises InvalidInput for an amount that the currency or the
    gateway does not allow; see `take_order` for the rest.
    """

    def plan(payment: Payment) -> Plan | OrderRefusal:
        now, operation_id = clock.now(), ids.new()
        amount_minor = None if amount is None else places_to_minor(amount, payment.currency_places)
        begun = begin_capture(payment, amount_minor, operation_id, now)
        if isinstance(begun, OrderRefusal):
            return begun
        ensure_expressible(payment, begun.capturing_minor)
        operation = new_operation(
            Kind.CAPTURE, payment, begun.capturing_minor, id_=operation_id, correlation_id=correlation_id, now=now
        )
        claim, answer = accepted(keyed, payment.id, orjson.dumps(payment_view(begun)), now)
        command = run_operation_command(ids.new(), operation, now)
        return Plan(Order(payment, operation, (command,), claim), holding.begin_capture, answer)

    return take_order(database, keyed, payment_id, plan)
