"""What a merchant does with a payment before its money is taken: capture it, or cancel it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from paybridge.core.times import format_time
from paybridge.payments.domain.decline_codes import AUTHORIZATION_EXPIRED
from paybridge.payments.domain.payment import Payment, Status, capturable_minor
from paybridge.payments.domain.refusal import OrderRefusal, exceeds, in_progress

CAPTURE = "capture"
CANCEL = "cancel"

# Nothing was asked of the gateway yet.
UNCHARGED = frozenset({Status.PENDING, Status.REVIEW})

_NOT_CAPTURABLE = "payment_not_capturable"


def begin_capture(
    payment: Payment, amount_minor: int | None, operation_id: UUID, now: datetime
) -> Payment | OrderRefusal:
    """Return the payment as this operation begins to capture the amount, or all that was authorized."""
    if payment.pending_operation is not None:
        return in_progress(payment)
    if payment.status is not Status.REQUIRES_CAPTURE:
        return OrderRefusal(_NOT_CAPTURABLE, _why_not_capturable(payment))
    if payment.capture_before is not None and payment.capture_before <= now:
        return OrderRefusal(_NOT_CAPTURABLE, _expired(payment.capture_before))
    left_minor = capturable_minor(payment)
    amount_minor = left_minor if amount_minor is None else amount_minor
    if amount_minor > left_minor:
        return exceeds("amount_exceeds_capturable", "capturable", left_minor, payment)
    return replace(_begun(payment, CAPTURE, operation_id, now), capturing_minor=amount_minor)


def begin_cancellation(payment: Payment, operation_id: UUID, now: datetime) -> Payment | OrderRefusal:
    """Return the payment as this operation begins to release its authorization."""
    if payment.pending_operation is not None or payment.status is Status.PROCESSING:
        return in_progress(payment)
    if payment.status is not Status.REQUIRES_CAPTURE:
        return OrderRefusal("payment_not_cancelable", _why_not_cancelable(payment))
    return _begun(payment, CANCEL, operation_id, now)


def cancel_uncharged(payment: Payment, reason: str | None, now: datetime) -> Payment:
    """Return the payment, which is one of UNCHARGED, as canceled, with the sequence of its event."""
    assert payment.status in UNCHARGED
    return replace(
        payment,
        status=Status.CANCELED,
        failure_message=reason,
        version=payment.version + 1,
        last_sequence=payment.last_sequence + 1,
        updated_at=now,
    )


def _begun(payment: Payment, type_: str, operation_id: UUID, now: datetime) -> Payment:
    return replace(
        payment,
        pending_operation=type_,
        pending_operation_id=operation_id,
        pending_operation_since=now,
        version=payment.version + 1,
        updated_at=now,
    )


def _why_not_capturable(payment: Payment) -> str:
    if payment.status is Status.CANCELED and payment.failure_code == AUTHORIZATION_EXPIRED and payment.capture_before:
        return _expired(payment.capture_before)
    if payment.capture == "automatic":
        return "The payment is captured automatically. Create a payment with `capture` manual to capture it later."
    if payment.status in UNCHARGED | {Status.PROCESSING}:
        return f"The payment is {payment.status}. Capture it once it is requires_capture."
    return f"The payment is {payment.status} and cannot be captured. Only one that is requires_capture can be."


def _why_not_cancelable(payment: Payment) -> str:
    match payment.status:
        case Status.CANCELED:
            return "The payment is canceled already. There is nothing left to cancel."
        case Status.FAILED:
            return "The payment has failed. There is nothing left to cancel."
        case Status.REFUNDED:
            return "All of the payment was refunded. There is nothing left to cancel."
        case _:
            return f"The payment is {payment.status}: its money was taken. Refund it instead."


def _expired(capture_before: datetime) -> str:
    return f"The authorization expired at {format_time(capture_before)}. Create a new payment."
