"""Second step of charging: ask the gateway, outside any transaction."""

from __future__ import annotations

from dataclasses import replace

from paybridge.payments.domain.charging import gateway_key
from paybridge.payments.ports import (
    Charged,
    ChargeRequest,
    Declined,
    GatewayOutcome,
    PaymentGateway,
    Rejected,
    Unknown,
)
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
        return AnsweredCharge(attempt, Unknown("gateway_error", f"unforeseen {type(error).__name__}"))


async def _charge(gateway: PaymentGateway, request: ChargeRequest, ask_first: bool) -> GatewayOutcome:
    """Ask the gateway to charge. If its answer is unclear, look the charge up by our reference.

    With `ask_first` an earlier attempt may have charged: the gateway is asked to charge only if it knows of no charge.
    """
    if ask_first:
        known = await gateway.find_charge(request)
        if known is not None:
            return known
    answer = await gateway.charge(request)
    if isinstance(answer, Rejected):
        return Declined("gateway_rejected", "The gateway does not accept this charge.")
    if not isinstance(answer, Unknown):
        return answer
    found = await gateway.find_charge(request)
    if isinstance(found, Charged | Declined):
        return found
    return replace(answer, never_arrived=found is None)
