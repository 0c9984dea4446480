"""Amounts that a payment's gateway can express."""

from __future__ import annotations

from paybridge.core.errors import InvalidInput
from paybridge.payments.domain.operation import STRIPE_GATEWAY
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.stripe_amounts import AmountRefused, to_stripe


def ensure_expressible(payment: Payment, amount_minor: int) -> None:
    """Raise InvalidInput (`amount_not_supported`) for a part of the payment that its gateway would have to round.

    A capture of such an amount would be declined, and the whole authorization released.
    """
    if payment.gateway != STRIPE_GATEWAY:
        return
    try:
        to_stripe(amount_minor, payment.currency, payment.currency_places)
    except AmountRefused as error:
        raise InvalidInput(error.failure_code, str(error), "amount") from None
