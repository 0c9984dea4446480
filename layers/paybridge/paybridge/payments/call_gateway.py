"""Second step of charging: ask the gateway, outside any transaction."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar
from uuid import UUID

from paybridge.payments.domain.charging import gateway_key
from paybridge.payments.domain.gateway_answers import (
    Charged,
    Declined,
    Fault,
    GatewayOutcome,
    NotFound,
    PartiallyCharged,
    Pending,
    RateLimited,
    Unknown,
    conclude,
)
from paybridge.payments.ports import ChargeRequest, PaymentGateway
from paybridge.payments.records import AnsweredCharge, ChargeAttempt

_Answer = TypeVar("_Answer")


async def call_gateway(gateway: PaymentGateway, attempt: ChargeAttempt) -> AnsweredCharge:
    """Make the attempt and return the gateway's answer. Raises nothing."""
    payment = attempt.payment
    request = charge_request(payment.id, payment.amount_minor, payment.currency, payment.payment_method)
    return AnsweredCharge(attempt, await never_raising(_charge(gateway, request, attempt.ask_first)))


def charge_request(payment_id: UUID, amount_minor: int, currency: str, payment_method: str | None) -> ChargeRequest:
    """Return what the gateway is asked for on every attempt: the same, under the same key."""
    return ChargeRequest(payment_id, amount_minor, currency, payment_method, gateway_key(payment_id))


async def never_raising(call: Awaitable[_Answer]) -> _Answer | Unknown:
    """Return the answer; an unforeseen error is an Unknown."""
    # The one place that catches everything: an answer that breaks our code in an unforeseen way must not keep the
    # answers to the other payments of the batch from being recorded.
    try:
        return await call
    except Exception as error:  # noqa: BLE001 - one charge never fails the batch
        return Unknown(Fault.INTERNAL, f"unforeseen {type(error).__name__}")


async def _charge(gateway: PaymentGateway, request: ChargeRequest, ask_first: bool) -> GatewayOutcome:
    """Ask the gateway to charge. If its answer is unclear, look the charge up by our reference.

    With `ask_first` an earlier attempt may have charged: the gateway is asked to charge only if it knows of no charge.
    """
    if ask_first:
        known = await gateway.find_charge(request)
        if not isinstance(known, NotFound):
            return known
    answer = await gateway.charge(request)
    if isinstance(answer, Charged | PartiallyCharged | Declined | Pending | RateLimited):
        return answer
    return conclude(answer, await gateway.find_charge(request), is_repeated=ask_first)
