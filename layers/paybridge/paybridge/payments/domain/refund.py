"""A refund as merchants see it: an operation that gives money of a payment back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.events import REFUND_FAILED, REFUND_SUBJECT, Event
from paybridge.core.money import format_places
from paybridge.core.times import format_time
from paybridge.payments.domain.operation import Cause, Kind, Operation, OperationStatus

# Undoing a step gives money back too, but that is no refund that a merchant asked for.
SHOWN_CAUSES = frozenset({Cause.MERCHANT, Cause.GATEWAY})


class RefundStatus(StrEnum):
    """The state of a refund. One that has succeeded fails when the gateway takes it back later."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


REFUND_STATUSES: Mapping[OperationStatus, RefundStatus] = {
    OperationStatus.ACCEPTED: RefundStatus.PENDING,
    OperationStatus.STARTED: RefundStatus.PROCESSING,
    OperationStatus.PENDING: RefundStatus.PROCESSING,
    OperationStatus.RATE_LIMITED: RefundStatus.PROCESSING,
    OperationStatus.UNKNOWN: RefundStatus.PROCESSING,
    OperationStatus.SUCCEEDED: RefundStatus.SUCCEEDED,
    OperationStatus.PARTIAL: RefundStatus.FAILED,
    OperationStatus.DECLINED: RefundStatus.FAILED,
    OperationStatus.REVERSED: RefundStatus.FAILED,
}


# The trigger operations_transition_is_legal keeps outcomes in the database; tests hold events and documentation equal.
REFUND_TRANSITIONS: Mapping[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.PENDING: frozenset({RefundStatus.PROCESSING}),
    RefundStatus.PROCESSING: frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED}),
    # The gateway takes the refund back.
    RefundStatus.SUCCEEDED: frozenset({RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset(),
}


def is_refund(operation: Operation) -> bool:
    """Tell whether merchants see the operation as a refund."""
    return operation.kind is Kind.REFUND and operation.cause in SHOWN_CAUSES


def refund_view(operation: Operation, currency: str, currency_places: int) -> dict[str, Any]:
    """Return the refund as answers, events and webhooks show it: JSON-ready, the amount as a decimal string."""
    return {
        "refund_id": str(operation.id),
        "payment_id": str(operation.payment_id),
        "status": str(REFUND_STATUSES[operation.status]),
        "amount": format_places(operation.amount_minor, currency_places),
        "currency": currency,
        "reason": operation.reason,
        "metadata": operation.metadata,
        "failure_code": operation.failure_code,
        "created_at": format_time(operation.created_at),
        "updated_at": format_time(operation.updated_at),
    }


def refund_event(
    id_: UUID, type_: str, operation: Operation, currency: str, currency_places: int, time: datetime
) -> Event:
    """Make the event for the present state of the refund, numbered by its last sequence.

    That of a refund which failed says whether it had succeeded before, so that its money came back.
    """
    view = refund_view(operation, currency, currency_places)
    if type_ == REFUND_FAILED:
        view["taken_back"] = operation.status is OperationStatus.REVERSED
    return Event(
        id=id_,
        type=type_,
        payment_id=operation.payment_id,
        merchant_id=operation.merchant_id,
        correlation_id=operation.correlation_id,
        time=time,
        sequence=operation.last_sequence,
        data=view,
        subject_type=REFUND_SUBJECT,
        subject_id=operation.id,
    )
