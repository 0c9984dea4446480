"""Second step of charging: ask the gateway, outside any transaction."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID

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
from paybridge.payments.domain.operation import Kind, gateway_key
from paybridge.payments.ports import GatewayRequest, PaymentGateway
from paybridge.payments.records import AnsweredAttempt, Attempt

_Answer = TypeVar("_Answer")


async def call_gateway(gateway: PaymentGateway, attempt: Attempt) -> AnsweredAttempt:
    """Make the attempt and return the gateway's answer. Raises nothing."""
    payment = attempt.payment
    request = gateway_request(
        payment.id, payment.amount_minor, payment.currency, payment.currency_places, payment.payment_method
    )
    return AnsweredAttempt(attempt, await never_raising(_charge(gateway, request, attempt.ask_first)))


def gateway_request(
    payment_id: UUID, amount_minor: int, currency: str, currency_places: int, payment_method: str | None
) -> GatewayRequest:
    """Return what the gateway is asked for on every attempt: the same, under the same key."""
    return GatewayRequest(
        operation_id=payment_id,
        kind=Kind.CHARGE,
        payment_id=payment_id,
        amount_minor=amount_minor,
        currency=currency,
        currency_places=currency_places,
        payment_method=payment_method,
        idempotency_key=gateway_key(payment_id, Kind.CHARGE),
    )


async def never_raising(call: Awaitable[_Answer]) -> _Answer | Unknown:
    """Return the answer; an unforeseen error is an Unknown."""
    # The one place that catches everything: an answer that breaks our code in an unforeseen way must not keep the
    # answers to the other payments of the batch from being recorded.
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - one charge never fails the batch
        return Unknown(Fault.INTERNAL, f"unforeseen {type(error).__name__}")


async def _charge(gateway: PaymentGateway, request: GatewayRequest, ask_first: bool) -> GatewayOutcome:
    """Ask the gateway to charge. If its answer is unclear, look the charge up by our reference.

    With `ask_first` an earlier attempt may have charged: the gateway is asked to charge only if it knows of no charge.
    """
    if ask_first:
        known = await gateway.find(request)
        if not isinstance(known, NotFound):
            return known
    answer = await gateway.send(request)
    if isinstance(answer, Succeeded | PartlyApproved | Declined | Pending | RateLimited):
        return answer
    return conclude(answer, await gateway.find(request), is_repeated=ask_first)
