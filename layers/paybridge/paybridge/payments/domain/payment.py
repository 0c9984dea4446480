"""A payment: its states and their transitions, its fields, and the view that merchants get."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.errors import IllegalTransition
from paybridge.core.money import exponent, format_places
from paybridge.core.records import changed
from paybridge.core.times import format_time


class Status(StrEnum):
    """The state of a payment."""

    PENDING = "pending"
    PROCESSING = "processing"
    REVIEW = "review"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


# The trigger payments_transition_is_legal repeats this table in the database; a test holds the two equal.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.PROCESSING, Status.REVIEW, Status.FAILED, Status.CANCELED}),
    Status.PROCESSING: frozenset(
        {Status.SUCCEEDED, Status.FAILED, Status.REQUIRES_CAPTURE, Status.REVIEW, Status.CANCELED}
    ),
    Status.REVIEW: frozenset({Status.PROCESSING, Status.FAILED, Status.CANCELED}),
    Status.REQUIRES_CAPTURE: frozenset({Status.SUCCEEDED, Status.CANCELED, Status.FAILED}),
    # A refund that the bank returns puts the money, and so the status, back.
    Status.SUCCEEDED: frozenset({Status.PARTIALLY_REFUNDED, Status.REFUNDED}),
    Status.PARTIALLY_REFUNDED: frozenset({Status.REFUNDED, Status.SUCCEEDED}),
    Status.REFUNDED: frozenset({Status.PARTIALLY_REFUNDED, Status.SUCCEEDED}),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}

# States that a payment leaves only when a merchant or an operator asks for it.
SETTLED = frozenset(Status) - {Status.PENDING, Status.PROCESSING, Status.REVIEW}


def ensure_transition(current: Status, target: Status) -> None:
    """Raise IllegalTransition unless a payment may go from `current` to `target`."""
    if target not in TRANSITIONS[current]:
        raise IllegalTransition(f"A payment cannot go from {current} to {target}.")


# These two have no slots, so that `core.records` can copy them fast.
@dataclass(frozen=True, kw_only=True)
class PaymentOrder:
    """What a merchant asks for, already validated; `amount_minor` is in minor units of `currency`."""

    amount_minor: int
    currency: str
    description: str | None = None
    metadata: dict[str, str] | None = None
    webhook_url: str | None = None
    customer: str | None = None
    payment_method: str | None = None
    capture: str = "automatic"


@dataclass(frozen=True, kw_only=True)
class Payment(PaymentOrder):
    """One payment as the database holds it: the order and its state; amounts are minor units of `currency`.

    `currency_places` are the decimal places of the currency when the payment was made, whatever becomes of it.
    `capturing_minor` and `refunding_minor` are reserved by operations that are under way. `pending_operation` is the
    capture or the cancellation that may end the hold. `version` grows with every change. `gateway` names the gateway
    that was asked for the money, None before that, and `gateway_id` is its name for the charge or authorization.
    `screening` is the decision as merchants see it, None without one.
    """

    id: UUID
    merchant_id: UUID
    status: Status
    created_at: datetime
    updated_at: datetime
    correlation_id: str
    currency_places: int
    authorized_minor: int = 0
    capturing_minor: int = 0
    captured_minor: int = 0
    refunding_minor: int = 0
    refunded_minor: int = 0
    capture_before: datetime | None = None
    pending_operation: str | None = None
    pending_operation_id: UUID | None = None
    pending_operation_since: datetime | None = None
    screening: dict[str, Any] | None = None
    gateway: str | None = None
    gateway_id: str | None = None
    version: int = 1
    last_sequence: int = 1
    failure_code: str | None = None
    failure_message: str | None = None


_ORDERED = tuple(field.name for field in fields(PaymentOrder))


def new_payment(order: PaymentOrder, *, id_: UUID, merchant_id: UUID, correlation_id: str, now: datetime) -> Payment:
    """Turn an order into a pending payment. Raises InvalidInput (`currency_unsupported`)."""
    return Payment(
        **{name: getattr(order, name) for name in _ORDERED},
        id=id_,
        merchant_id=merchant_id,
        status=Status.PENDING,
        created_at=now,
        updated_at=now,
        correlation_id=correlation_id,
        currency_places=exponent(order.currency),
    )


def order_of(payment: Payment) -> PaymentOrder:
    """Return what the merchant asked for, which never changes."""
    return PaymentOrder(**{name: getattr(payment, name) for name in _ORDERED})


def begin_processing(payment: Payment, gateway: str, now: datetime) -> Payment:
    """Return the payment as its first attempt starts, with the sequence of its event. Raises IllegalTransition."""
    ensure_transition(payment.status, Status.PROCESSING)
    return changed(
        payment,
        status=Status.PROCESSING,
        gateway=gateway,
        version=payment.version + 1,
        last_sequence=payment.last_sequence + 1,
        updated_at=now,
    )


def is_settled(payment: Payment) -> bool:
    """Tell whether the payment stays as it is until a merchant or an operator asks for something.

    A payment that waits for the gateway to capture or cancel it does not.
    """
    return payment.status in SETTLED and payment.pending_operation is None


def capturable_minor(payment: Payment) -> int:
    """Return what may still be captured, in minor units: nothing unless the payment waits for its capture."""
    if payment.status is not Status.REQUIRES_CAPTURE:
        return 0
    return payment.authorized_minor - payment.captured_minor - payment.capturing_minor


def refundable_minor(payment: Payment) -> int:
    """Return what may still be refunded, in minor units. Refunds that are under way count as made."""
    return payment.captured_minor - payment.refunded_minor - payment.refunding_minor


def payment_view(payment: Payment) -> dict[str, Any]:
    """Return the payment as answers, events and webhooks show it: JSON-ready, amounts as decimal strings."""
    places = payment.currency_places
    view: dict[str, Any] = {
        "payment_id": str(payment.id),
        "status": str(payment.status),
        "created_at": format_time(payment.created_at),
        "updated_at": format_time(payment.updated_at),
        "amount": format_places(payment.amount_minor, places),
        "amount_capturable": format_places(capturable_minor(payment), places),
        "amount_captured": format_places(payment.captured_minor, places),
        "amount_refunded": format_places(payment.refunded_minor, places),
        "currency": payment.currency,
        "capture": payment.capture,
        "capture_before": None if payment.capture_before is None else format_time(payment.capture_before),
        "pending_operation": None if payment.pending_operation is None else _pending_operation_view(payment),
        "screening": payment.screening,
        "description": payment.description,
        "metadata": payment.metadata,
        "webhook_url": payment.webhook_url,
        "customer": payment.customer,
        "payment_method": payment.payment_method,
        "failure_code": payment.failure_code,
        "failure_message": payment.failure_message,
    }
    return view


def _pending_operation_view(payment: Payment) -> dict[str, Any]:
    is_capture = payment.pending_operation == "capture"
    amount_minor = payment.capturing_minor if is_capture else payment.authorized_minor - payment.captured_minor
    since = payment.pending_operation_since
    return {
        "type": payment.pending_operation,
        "operation_id": str(payment.pending_operation_id),
        "amount": format_places(amount_minor, payment.currency_places),
        "created_at": None if since is None else format_time(since),
    }
