"""What events say about the money that moved, so that the ledger can follow it by events alone.

An event carries the absolute amounts of the operation that caused it. None has to be compared with an earlier one.

| event                      | `operation`                    | money                                        |
| -------------------------- | ------------------------------ | -------------------------------------------- |
| payment.requires_capture   | authorization                  | `amount` is held                             |
| payment.succeeded          | charge                         | `amount` is taken                            |
| payment.succeeded          | capture                        | `amount` is taken, `authorized` held no more |
| payment.succeeded          | null: a refund was taken back  | that of refund.failed                        |
| payment.failed             | capture                        | `authorized` is held no more                 |
| payment.failed             | another, or null               | none                                         |
| payment.canceled           | void                           | `amount` is held no more                     |
| payment.canceled           | null: nothing was asked for    | none                                         |
| payment.*refunded          | null                           | that of refund.succeeded                     |
| refund.succeeded           |                                | `amount` is given back                       |
| refund.failed              | `taken_back`                   | `amount` is ours again                       |
| charge.taken               |                                | `amount` is taken and settles no payment     |
| charge.returned            |                                | `amount` of that is given back               |
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.core.events import CHARGE_RETURNED, CHARGE_TAKEN, OPERATION_SUBJECT, Event
from paybridge.core.money import format_places
from paybridge.payments.domain.decline_codes import AUTHORIZATION_EXPIRED
from paybridge.payments.domain.operation import Cause, Kind, Operation
from paybridge.payments.domain.payment import Payment, Status

OperationFact = dict[str, Any]

# Why there is money that settles no payment.
PARTIAL_APPROVAL = "partial_approval"
LATE = "late"
DUPLICATE = "duplicate"
_RETURNS = {Cause.PARTIAL_APPROVAL: PARTIAL_APPROVAL, Cause.CHARGED_LATE: LATE}


@dataclass(frozen=True, slots=True)
class UnsettledCharge:
    """Money that the gateway took or gave back by an operation, that settles no payment, and why there is any."""

    payment: Payment
    operation_id: UUID
    amount_minor: int
    reason: str


def operation_fact(operation: Operation, payment: Payment) -> OperationFact:
    """Return the operation whose outcome made the payment what it is now, as the payment's event shows it."""
    if operation.kind is Kind.VOID:
        return _fact(Kind.VOID, operation.id, payment.authorized_minor, payment)
    if operation.kind is not Kind.CAPTURE:
        return _fact(operation.kind, operation.id, operation.amount_minor, payment)
    if payment.status is Status.CANCELED and payment.failure_code == AUTHORIZATION_EXPIRED:
        # The gateway had released the money unprompted when it was asked for the capture.
        return _fact(Kind.VOID, None, payment.authorized_minor, payment)
    fact = _fact(Kind.CAPTURE, operation.id, operation.amount_minor, payment)
    return {**fact, "authorized": format_places(payment.authorized_minor, payment.currency_places)}


def returned_reason(operation: Operation) -> str | None:
    """Return why the operation gives money back that settled no payment; None for any other operation."""
    return _RETURNS.get(operation.cause) if operation.kind is Kind.REFUND else None


def charge_taken(id_: UUID, charge: UnsettledCharge, sequence: int, time: datetime) -> Event:
    """Make the fact that the gateway took money that settles no payment."""
    return _charge_event(id_, CHARGE_TAKEN, charge, sequence, time)


def charge_returned(id_: UUID, charge: UnsettledCharge, time: datetime) -> Event:
    """Make the fact that the gateway gave such money back."""
    return _charge_event(id_, CHARGE_RETURNED, charge, 1, time)


def _fact(kind: Kind, id_: UUID | None, amount_minor: int, payment: Payment) -> OperationFact:
    return {
        "operation_id": None if id_ is None else str(id_),
        "type": str(kind),
        "amount": format_places(amount_minor, payment.currency_places),
        "taken_back": False,
    }


def _charge_event(id_: UUID, type_: str, charge: UnsettledCharge, sequence: int, time: datetime) -> Event:
    payment = charge.payment
    data = {
        "payment_id": str(payment.id),
        "operation_id": str(charge.operation_id),
        "amount": format_places(charge.amount_minor, payment.currency_places),
        "currency": payment.currency,
        "reason": charge.reason,
    }
    return Event(
        id=id_,
        type=type_,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        correlation_id=payment.correlation_id,
        time=time,
        sequence=sequence,
        data=data,
        subject_type=OPERATION_SUBJECT,
        subject_id=charge.operation_id,
    )
