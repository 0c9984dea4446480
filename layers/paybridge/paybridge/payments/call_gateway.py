"""Second step of the engine: ask the gateway, outside any transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TypeVar

from paybridge.payments.domain.gateway_answers import (
    Declined,
    Fault,
    GatewayOutcome,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    Unknown,
    conclude,
)
from paybridge.payments.domain.operation import Operation, gateway_key
from paybridge.payments.domain.payment import Payment
from paybridge.payments.ports import GatewayRequest, PaymentGateway
from paybridge.payments.records import AnsweredAttempt, Attempt

_Answer = TypeVar("_Answer")


async def call_gateway(gateways: Mapping[str, PaymentGateway], attempt: Attempt) -> AnsweredAttempt:
    """Make the attempt and return the gateway's answer. Raises nothing."""
    request = gateway_request(attempt.operation, attempt.payment)
    gateway = gateways.get(attempt.operation.gateway)
    if gateway is None:
        return AnsweredAttempt(attempt, Unknown(Fault.NOT_SERVED, "no gateway of this name is configured"))
    return AnsweredAttempt(attempt, await never_raising(ask(gateway, request, attempt.ask_first)))


def gateway_request(operation: Operation, payment: Payment) -> GatewayRequest:
    """Return what the gateway is asked for on every attempt: the same, under the same key."""
    return GatewayRequest(
        operation_id=operation.id,
        kind=operation.kind,
        payment_id=payment.id,
        amount_minor=operation.amount_minor,
        currency=payment.currency,
        currency_places=payment.currency_places,
        payment_method=payment.payment_method,
        idempotency_key=gateway_key(operation.id, operation.kind),
        gateway_id=operation.gateway_id,
        target_gateway_id=operation.target_gateway_id or payment.gateway_id,
    )


async def never_raising(call: Awaitable[_Answer]) -> _Answer | Unknown:
    """Return the answer; an unforeseen error is an Unknown."""
    # The one place that catches everything: an answer that breaks our code in an unforeseen way must not keep the
    # answers to the other operations of the batch from being recorded.
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - one operation never fails the batch
        return Unknown(Fault.INTERNAL, f"unforeseen {type(error).__name__}")


async def ask(gateway: PaymentGateway, request: GatewayRequest, ask_first: bool) -> GatewayOutcome:
    """Ask the gateway for the operation. If its answer is unclear, look the operation up.

    With `ask_first` an earlier attempt may have done it: the gateway is asked for it only if it knows of none.
    """
    if ask_first:
        known = await gateway.find(request)
        if not isinstance(known, NotFound):
            return known
    answer = await gateway.send(request)
    if isinstance(answer, Succeeded | PartlyApproved | Declined | Pending | RateLimited):
        return answer
    return conclude(answer, await gateway.find(request), is_repeated=ask_first)
