"""Refund a payment."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from uuid import UUID

import orjson

from paybridge.core.clock import Clock
from paybridge.core.events import REFUND_CREATED
from paybridge.core.ids import Ids
from paybridge.core.money import places_to_minor
from paybridge.database.database import Database
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.domain.gateway_amounts import ensure_expressible
from paybridge.payments.domain.operation import Kind, new_operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.refund import refund_event
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import Keyed, KeyedOutcome, accepted
from paybridge.payments.store.ordered_operations import Order
from paybridge.payments.take_order import Plan, take_order
from paybridge.refunds.domain import RefundOrder, amount_to_refund
from paybridge.refunds.store import reserving


def refund_operation(payment_id: UUID) -> str:
    """Return what an idempotency key is for: refunds of this payment."""
    return f"create_refund:{payment_id}"


def create_refund(
    database: Database,
    clock: Clock,
    ids: Ids,
    *,
    keyed: Keyed,
    payment_id: UUID,
    order: RefundOrder,
    correlation_id: str,
) -> KeyedOutcome | OrderRefusal | None:
    """Reserve the amount in the payment and accept the refund, which the gateway is asked for afterwards.

    The answer is the refund, pending. Raises InvalidInput for an amount that the currency or the gateway does not
    allow; see `take_order` for the rest.
    """

    def plan(payment: Payment) -> Plan | OrderRefusal:
        asked_minor = None if order.amount is None else places_to_minor(order.amount, payment.currency_places)
        amount_minor = amount_to_refund(payment, asked_minor)
        if isinstance(amount_minor, OrderRefusal):
            return amount_minor
        ensure_expressible(payment, amount_minor)
        now = clock.now()
        operation = new_operation(
            Kind.REFUND, payment, amount_minor, id_=ids.new(), correlation_id=correlation_id, now=now
        )
        refund = replace(operation, reason=order.reason, metadata=order.metadata)
        event = refund_event(ids.new(), REFUND_CREATED, refund, payment.currency, payment.currency_places, now)
        command = run_operation_command(ids.new(), refund, now)
        claim, answer = accepted(keyed, refund.id, orjson.dumps(event.data), now)
        reserve = partial(reserving.reserve, takes_the_rest=asked_minor is None)
        return Plan(Order(payment, refund, (event, command), claim), reserve, answer)

    return take_order(database, keyed, payment_id, plan)
