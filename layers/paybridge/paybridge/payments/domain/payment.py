"""A payment, the statuses it goes through, and how the outside sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.errors import IllegalTransition
from paybridge.core.money import format_minor


class Status(StrEnum):
    """Where a payment stands."""

    PENDING = "pending"
    PROCESSING = "processing"
    REVIEW = "review"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


# The same list stands in the database as the trigger payments_transition_is_legal; a test holds the two equal.
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
    Status.REFUNDED: frozenset({Status.PARTIALLY_REFUNDED}),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
}

# Statuses in which nothing more happens without somebody asking for it; `Prefer: wait` ends at these.
SETTLED = frozenset(Status) - {Status.PENDING, Status.PROCESSING, Status.REVIEW}


def ensure_transition(current: Status, target: Status) -> None:
    """Raises IllegalTransition unless a payment may go from `current` to `target`."""
    if target not in TRANSITIONS[current]:
        raise IllegalTransition(f"A payment cannot go from {current} to {target}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment as the database holds it; amounts are minor units of `currency`."""

    id: UUID
    merchant_id: UUID
    amount_minor: int
    currency: str
    status: Status
    created_at: datetime
    updated_at: datetime
    correlation_id: str
    captured_minor: int = 0
    refunded_minor: int = 0
    last_sequence: int = 1
    capture: str = "automatic"
    failure_code: str | None = None
    failure_message: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None
    webhook_url: str | None = None
    customer: str | None = None
    payment_method: str | None = None


def payment_view(payment: Payment) -> dict[str, Any]:
    """The payment as merchants see it in answers, events and webhooks: JSON-ready, amounts as decimal strings."""
    view: dict[str, Any] = {
        "payment_id": str(payment.id),
        "status": str(payment.status),
        "created_at": payment.created_at.isoformat(),
        "updated_at": payment.updated_at.isoformat(),
        "amount": format_minor(payment.amount_minor, payment.currency),
        "amount_captured": format_minor(payment.captured_minor, payment.currency),
        "amount_refunded": format_minor(payment.refunded_minor, payment.currency),
        "currency": payment.currency,
        "capture": payment.capture,
        "description": payment.description,
        "metadata": payment.metadata,
        "webhook_url": payment.webhook_url,
        "customer": payment.customer,
        "payment_method": payment.payment_method,
        "failure_code": payment.failure_code,
        "failure_message": payment.failure_message,
    }
    return view
