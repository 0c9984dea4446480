"""What screening, and the answer to a review, make of a payment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from paybridge.fraud.domain.rules import ScreenedPayment, Screening, Verdict
from paybridge.payments.domain.payment import Payment, Status, begin_processing, ensure_transition

FRAUD_BLOCKED = "fraud_blocked"
REVIEW_REJECTED = "review_rejected"


def to_screen(payment: Payment, now: datetime) -> ScreenedPayment:
    """Return what screening has to know about a payment."""
    return ScreenedPayment(
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        at=now,
        amount_minor=payment.amount_minor,
        currency=payment.currency,
        currency_places=payment.currency_places,
        customer=payment.customer,
        payment_method=payment.payment_method,
    )


def after_screening(payment: Payment, screening: Screening, now: datetime) -> Payment:
    """Return the payment with its screening: failed if it is blocked, in review if a person has to look.

    An allowed one is as it was, and may begin. Raises IllegalTransition.
    """
    screened = replace(payment, screening=screening.view())
    match screening.decision:
        case Verdict.BLOCK:
            return _failed(screened, FRAUD_BLOCKED, "The payment was blocked by a fraud rule.", now)
        case Verdict.REVIEW:
            return _moved(screened, Status.REVIEW, now)
        case Verdict.ALLOW:
            return screened


def approve(payment: Payment, gateway: str, now: datetime) -> Payment:
    """Return the payment once its review is approved: it is processing. Raises IllegalTransition."""
    return begin_processing(payment, gateway, now)


def reject(payment: Payment, now: datetime) -> Payment:
    """Return the payment once its review is rejected: it has failed. Raises IllegalTransition."""
    return _failed(payment, REVIEW_REJECTED, "The payment was rejected in a review.", now)


def _failed(payment: Payment, code: str, message: str, now: datetime) -> Payment:
    return replace(_moved(payment, Status.FAILED, now), failure_code=code, failure_message=message)


def _moved(payment: Payment, status: Status, now: datetime) -> Payment:
    ensure_transition(payment.status, status)
    return replace(
        payment,
        status=status,
        version=payment.version + 1,
        last_sequence=payment.last_sequence + 1,
        updated_at=now,
    )
