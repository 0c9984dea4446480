"""Why a payment cannot do what its merchant asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from paybridge.core.money import format_places
from paybridge.payments.domain.payment import Payment


@dataclass(frozen=True, slots=True)
class OrderRefusal:
    """A request that the state of the payment does not allow now.

    `code` is stable and public, `detail` says what to do. `field_name` is the member at fault, None if the payment
    itself is in the way. `members` are shown beside them.
    """

    code: str
    detail: str
    field_name: str | None = None
    members: Mapping[str, str] = field(default_factory=dict)


def in_progress(payment: Payment) -> OrderRefusal:
    """Return the refusal while the gateway works on the payment, whatever is asked for."""
    doing = {None: "charging", "capture": "capturing", "cancel": "canceling"}[payment.pending_operation]
    detail = f"The gateway is {doing} this payment. Read the payment with Prefer: wait, then decide."
    return OrderRefusal("operation_in_progress", detail)


def exceeds(code: str, member: str, left_minor: int, payment: Payment) -> OrderRefusal:
    """Return the refusal of an amount above what is left, which `member` names beside it."""
    left = format_places(left_minor, payment.currency_places)
    advice = "Send at most that much." if left_minor else "What is under way takes the rest."
    detail = f"The amount exceeds what is left: {left} {payment.currency}. {advice}"
    return OrderRefusal(code, detail, "amount", {member: left})
