"""The events and commands that a payment gives rise to."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from paybridge.core.events import PROCESS_PAYMENT, Event
from paybridge.payments.domain.payment import Payment, payment_view


def payment_event(id_: UUID, type_: str, payment: Payment, time: datetime) -> Event:
    """The fact that `payment` became what it is, numbered by its last sequence."""
    return Event(
        id=id_,
        type=type_,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        correlation_id=payment.correlation_id,
        time=time,
        sequence=payment.last_sequence,
        data=payment_view(payment),
    )


def process_payment(
    id_: UUID, payment_id: UUID, merchant_id: UUID, correlation_id: str, time: datetime, attempt: int
) -> Event:
    """The command to charge a payment, as the attempt of that number."""
    return Event(
        id=id_,
        type=PROCESS_PAYMENT,
        payment_id=payment_id,
        merchant_id=merchant_id,
        correlation_id=correlation_id,
        time=time,
        data={"payment_id": str(payment_id), "attempt": attempt},
    )
