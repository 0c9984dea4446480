"""What merchants ask for, and what the state of a payment allows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.core.money import format_places
from paybridge.database.database import Database
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.payment import Status
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.idempotency import IdempotentRequest, Keyed, KeyedOutcome
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder

CORRELATION_ID = "stateful"


class Command(NamedTuple):
    """A capture, a cancel or a refund under its idempotency key; no amount means all that is left."""

    name: str
    payment_id: UUID
    key: str
    amount_minor: int | None = None

    @property
    def amount(self) -> str | None:
        """Return the amount as merchants write it, in a currency of two places."""
        return None if self.amount_minor is None else format_places(self.amount_minor, 2)


def give(
    command: Command, database: Database, clock: Clock, ids: Ids, merchant_id: UUID
) -> KeyedOutcome | OrderRefusal | None:
    """Give the command to its use case and return the answer."""
    operation = {"capture": capture_operation, "cancel": cancel_operation, "refund": refund_operation}[command.name]
    fingerprint = hashlib.sha256(repr(command.amount).encode()).digest()
    keyed = Keyed(merchant_id, operation(command.payment_id), IdempotentRequest(command.key, fingerprint))
    common: dict[str, Any] = {
        "keyed": keyed,
        "payment_id": command.payment_id,
        "correlation_id": CORRELATION_ID,
    }
    match command.name:
        case "capture":
            return capture_payment(database, clock, ids, amount=command.amount, **common)
        case "cancel":
            return cancel_payment(database, clock, ids, reason=None, **common)
        case _:
            return create_refund(database, clock, ids, order=RefundOrder(amount=command.amount), **common)


def refusal_code(command: Command, payment: Mapping[str, Any], now: datetime) -> str | None:
    """Return the code of the refusal that the payment's row demands; None if it must be accepted."""
    match command.name:
        case "capture":
            return _no_capture(command, payment, now)
        case "cancel":
            return _no_cancel(payment)
        case _:
            return _no_refund(command, payment)


def _no_capture(command: Command, payment: Mapping[str, Any], now: datetime) -> str | None:
    if payment["pending_operation"]:
        return "operation_in_progress"
    if payment["status"] != Status.REQUIRES_CAPTURE or datetime.fromisoformat(payment["capture_before"]) <= now:
        return "payment_not_capturable"
    return "amount_exceeds_capturable" if (command.amount_minor or 0) > payment["authorized_minor"] else None


def _no_cancel(payment: Mapping[str, Any]) -> str | None:
    if payment["status"] in (Status.PENDING, Status.REVIEW):
        return None
    if payment["pending_operation"] or payment["status"] == Status.PROCESSING:
        return "operation_in_progress"
    return None if payment["status"] == Status.REQUIRES_CAPTURE else "payment_not_cancelable"


def _no_refund(command: Command, payment: Mapping[str, Any]) -> str | None:
    left = payment["captured_minor"] - payment["refunded_minor"] - payment["refunding_minor"]
    if payment["status"] not in (Status.SUCCEEDED, Status.PARTIALLY_REFUNDED):
        return "payment_not_refundable"
    if command.amount_minor is None:
        return None if left else "payment_not_refundable"
    return "amount_exceeds_refundable" if command.amount_minor > left else None
