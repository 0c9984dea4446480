"""What an event says about money: the operation that caused it, with absolute amounts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.errors import MalformedMessage
from paybridge.core.events import PAYMENT_CANCELED, PAYMENT_FAILED, PAYMENT_REQUIRES_CAPTURE, PAYMENT_SUCCEEDED, Event

_DECIMAL = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,12}))?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_BIGINT_MAX = 2**63 - 1
# The facts of a payment that is taken at once: created, processing, succeeded. A manual capture adds one, a review two.
_FACTS_UNTIL_CHARGE = 3
_FACTS_OF_REVIEW = 2


class OperationType(StrEnum):
    """What the gateway did."""

    CHARGE = "charge"
    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    PAYOUT = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyFact:
    """What moved by an event, in minor units with so many `places`.

    `held_minor` is what a capture ends the hold of. `is_taken_back` is true when the gateway undid what had succeeded.
    """

    operation: OperationType
    amount_minor: int
    currency: str
    places: int
    held_minor: int = 0
    is_taken_back: bool = False
    operation_id: UUID | None = None


def read_fact(event: Event) -> MoneyFact | None:
    """Return what the event says about money, None if it says that none moved.

    Raises MalformedMessage for an event whose amounts cannot be read. No retry can mend it.
    """
    family = event.type.split(".", 1)[0]
    if family == "payment":
        if "operation" not in event.data:
            return _fact_of_view(event)
        operation = event.data["operation"]
        return None if operation is None else _fact_of_operation(event, operation)
    if family == "refund":
        return _fact(event, event.data, OperationType.REFUND, event.data.get("refund_id"))
    if family == "payout":
        return _fact(event, event.data, OperationType.PAYOUT, event.data.get("payout_id"))
    return _fact(event, event.data, OperationType.CHARGE, event.data.get("operation_id"))


def _fact_of_operation(event: Event, operation: Any) -> MoneyFact:
    if not isinstance(operation, dict) or operation.get("type") not in tuple(OperationType):
        raise MalformedMessage("the operation is malformed")
    type_ = OperationType(operation["type"])
    held = operation.get("authorized", operation.get("amount")) if type_ is OperationType.CAPTURE else None
    return _fact(event, operation, type_, operation.get("operation_id"), held)


def _fact_of_view(event: Event) -> MoneyFact | None:
    """Return what an event of an older release says, which has no member `operation`, by the view of its payment."""
    view = event.data
    is_manual = view.get("capture") == "manual"
    was_held = view.get("capture_before") is not None
    if event.type == PAYMENT_REQUIRES_CAPTURE:
        return _fact(event, {"amount": view.get("amount_capturable")}, OperationType.AUTHORIZATION, None)
    if event.type == PAYMENT_SUCCEEDED and _is_first(event, is_manual=is_manual):
        type_ = OperationType.CAPTURE if is_manual else OperationType.CHARGE
        return _fact(
            event, {"amount": view.get("amount_captured")}, type_, None, view.get("amount") if is_manual else None
        )
    if event.type == PAYMENT_CANCELED and was_held:
        return _fact(event, view, OperationType.VOID, None)
    if event.type == PAYMENT_FAILED and was_held:
        return _fact(event, view, OperationType.CAPTURE, None, view.get("amount"))
    return None


def _is_first(event: Event, *, is_manual: bool) -> bool:
    """Tell whether the payment succeeded, and not succeeded again, because a refund was taken back."""
    screening = event.data.get("screening")
    is_reviewed = isinstance(screening, dict) and screening.get("decision") == "review"
    return (event.sequence or 1) <= _FACTS_UNTIL_CHARGE + is_manual + _FACTS_OF_REVIEW * is_reviewed


def _fact(
    event: Event, amounts: dict[str, Any], type_: OperationType, operation_id: Any, held: Any = None
) -> MoneyFact:
    currency = event.data.get("currency")
    if not isinstance(currency, str) or _CURRENCY.fullmatch(currency) is None:
        raise MalformedMessage("the currency is missing or malformed")
    amount_minor, places = _minor(amounts.get("amount"))
    held_minor, held_places = (0, places) if held is None else _minor(held)
    if held_places != places:
        raise MalformedMessage("the amounts have different numbers of decimal places")
    return MoneyFact(
        operation=type_,
        amount_minor=amount_minor,
        currency=currency,
        places=places,
        held_minor=held_minor,
        is_taken_back=(amounts.get("taken_back") is True),
        operation_id=_id(operation_id),
    )


def _minor(amount: Any) -> tuple[int, int]:
    """Return an amount in minor units and its decimal places, which its digits say."""
    match = _DECIMAL.fullmatch(amount) if isinstance(amount, str) else None
    if match is None:
        raise MalformedMessage("an amount is missing or malformed")
    fraction = match.group(2) or ""
    minor = int(match.group(1) + fraction)
    if minor > _BIGINT_MAX:
        raise MalformedMessage("an amount has too many digits")
    return minor, len(fraction)


def _id(value: Any) -> UUID | None:
    try:
        return None if value is None else UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise MalformedMessage("the id of the operation is malformed") from None
