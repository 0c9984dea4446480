"""What a merchant may refund, and the lists of refunds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.payments.domain.operation import Operation
from paybridge.payments.domain.payment import Payment, Status, refundable_minor
from paybridge.payments.domain.refund import REFUND_STATUSES, RefundStatus, refund_view
from paybridge.payments.domain.refusal import OrderRefusal, exceeds

# The payments that have money to give back.
REFUNDABLE = frozenset({Status.SUCCEEDED, Status.PARTIALLY_REFUNDED})
# A refund that has succeeded may still fail, when the bank returns it.
SETTLED = frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundOrder:
    """What a merchant asks for. `amount` is a decimal string; None refunds all that is left at that moment."""

    amount: str | None = None
    reason: str | None = None
    metadata: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund and the currency of its payment, with its decimal places."""

    operation: Operation
    currency: str
    currency_places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundFilters:
    """The refunds to list. `created_from` is inclusive, `created_to` exclusive; None matches any."""

    payment_id: UUID | None = None
    status: RefundStatus | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefundPage:
    """Refunds, newest first, and the cursor of the next page; None on the last page."""

    refunds: list[Refund]
    next_cursor: str | None


def amount_to_refund(payment: Payment, amount_minor: int | None) -> int | OrderRefusal:
    """Return how much this refund gives back, in minor units: the amount asked for, or all that is left."""
    left_minor = refundable_minor(payment)
    if payment.status not in REFUNDABLE:
        return OrderRefusal("payment_not_refundable", _why_not(payment))
    if amount_minor is None and left_minor == 0:
        detail = "All of the payment is being refunded already. Read its refunds."
        return OrderRefusal("payment_not_refundable", detail)
    if amount_minor is not None and amount_minor > left_minor:
        return exceeds("amount_exceeds_refundable", "refundable", left_minor, payment)
    return left_minor if amount_minor is None else amount_minor


def is_settled(refund: Refund) -> bool:
    """Tell whether the gateway has decided about the refund."""
    return status_of(refund) in SETTLED


def status_of(refund: Refund) -> RefundStatus:
    """Return the refund's status as merchants see it."""
    return REFUND_STATUSES[refund.operation.status]


def view_of(refund: Refund) -> dict[str, Any]:
    """Return the refund as answers show it, JSON-ready."""
    return refund_view(refund.operation, refund.currency, refund.currency_places)


def _why_not(payment: Payment) -> str:
    match payment.status:
        case Status.REFUNDED:
            return "All of the payment was refunded."
        case Status.REQUIRES_CAPTURE:
            return "The money is held and was not taken. Cancel the payment to release it."
        case Status.PENDING | Status.PROCESSING | Status.REVIEW:
            return f"The payment is {payment.status}. Refund it once it has succeeded."
        case _:
            return f"The payment is {payment.status}, so there is nothing to give back."
