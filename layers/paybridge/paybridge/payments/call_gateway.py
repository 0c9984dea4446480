"""Second step of charging: ask the gateway, outside any transaction."""

from __future__ import annotations

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


async def call_gateway(gateway: PaymentGateway, attempt: ChargeAttempt) -> AnsweredCharge:
    """Make the attempt and return the gateway's answer. Raises nothing: an unforeseen error is an Unknown."""
    payment = attempt.payment
    request = ChargeRequest(
        payment_id=payment.id,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        payment_method=payment.payment_method,
        idempotency_key=gateway_key(payment.id),
    )
    # The one place that catches everything: an answer that breaks our code in an unforeseen way must not keep the
    # answers to the other payments of the batch from being recorded.
    try:
        return AnsweredCharge(attempt, await _charge(gateway, request, attempt.ask_first))
    except Exception as error:  # noqa: BLE001 - one charge never fails the batch
        return AnsweredCharge(attempt, Unknown(Fault.INTERNAL, f"unforeseen {type(error).__name__}"))


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
