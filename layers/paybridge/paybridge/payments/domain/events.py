"""The events of a payment, and the commands to ask the gateway for its operations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.core.events import (
    DELIVER_WEBHOOK,
    FIND_LATE_CHANGE,
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_PARTIALLY_REFUNDED,
    PAYMENT_REFUNDED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_SUCCEEDED,
    PROCESS_PAYMENT,
    Event,
    EventOrigin,
)
from paybridge.payments.domain.facts import OperationFact
from paybridge.payments.domain.operation import OperationNames, OperationRef
from paybridge.payments.domain.payment import Payment, Status, payment_view

# The events of the states that outcomes lead to.
EVENT_TYPES: Mapping[Status, str] = {
    Status.SUCCEEDED: PAYMENT_SUCCEEDED,
    Status.FAILED: PAYMENT_FAILED,
    Status.CANCELED: PAYMENT_CANCELED,
    Status.REQUIRES_CAPTURE: PAYMENT_REQUIRES_CAPTURE,
    Status.PARTIALLY_REFUNDED: PAYMENT_PARTIALLY_REFUNDED,
    Status.REFUNDED: PAYMENT_REFUNDED,
}


def payment_event(
    id_: UUID,
    type_: str,
    payment: Payment,
    time: datetime,
    operation: OperationFact | None = None,
    view: Mapping[str, Any] | None = None,
) -> Event:
    """Make the event for the present state of the payment, numbered by its last sequence.

    `operation` is what the gateway did that caused it, if it caused it. `view` is that of the payment, if it is known.
    """
    return Event(
        id=id_,
        type=type_,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        correlation_id=payment.correlation_id,
        time=time,
        sequence=payment.last_sequence,
        data={**(payment_view(payment) if view is None else view), "operation": operation},
    )


def process_payment_command(
    id_: UUID, payment_id: UUID, merchant_id: UUID, correlation_id: str, time: datetime, attempt: int, ask: int = 0
) -> Event:
    """Make the command to charge a payment as the attempt of that number, or to go on with it as that ask."""
    first = OperationRef(payment_id, payment_id, merchant_id, correlation_id)
    return run_operation_command(id_, first, time, attempt, ask)


def run_operation_command(
    id_: UUID, operation: OperationNames, time: datetime, attempt: int = 1, ask: int = 0
) -> Event:
    """Make the command to ask the gateway for an operation: as that attempt, or to go on with it as that ask."""
    data = {
        "payment_id": str(operation.payment_id),
        "operation_id": str(operation.id),
        "attempt": attempt,
        "ask": ask,
    }
    return _command(id_, PROCESS_PAYMENT, operation, time, data)


def find_late_change_command(id_: UUID, operation: OperationNames, time: datetime) -> Event:
    """Make the command to ask the gateway about an operation that has ended."""
    data = {"payment_id": str(operation.payment_id), "operation_id": str(operation.id)}
    return _command(id_, FIND_LATE_CHANGE, operation, time, data)


def deliver_event_command(id_: UUID, subject: EventOrigin, event_id: UUID, time: datetime) -> Event:
    """Make the command to send an event of a payment to the webhook endpoints that choose it."""
    return _command(id_, DELIVER_WEBHOOK, subject, time, {"event_id": str(event_id)})


def _command(id_: UUID, type_: str, subject: EventOrigin, time: datetime, data: dict[str, Any]) -> Event:
    return Event(
        id=id_,
        type=type_,
        payment_id=subject.payment_id,
        merchant_id=subject.merchant_id,
        correlation_id=subject.correlation_id,
        time=time,
        data=data,
    )
