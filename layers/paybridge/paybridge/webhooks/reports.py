"""What is logged about each delivery of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from paybridge.core.retry import GiveUp, RetryIn
from paybridge.webhooks.attempts import DeliveryAttempt, SentAttempt
from paybridge.webhooks.domain.webhook import Decision, Delivered, Gone


class DeliveryOutcome(StrEnum):
    """The outcome of a delivery in this batch: `retry` and `postponed` mean that a command continues it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    GONE = "gone"
    POSTPONED = "postponed"


_OUTCOMES = {
    Delivered: DeliveryOutcome.DELIVERED,
    RetryIn: DeliveryOutcome.RETRY,
    GiveUp: DeliveryOutcome.FAILED,
    Gone: DeliveryOutcome.GONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryReport:
    """The outcome of one delivery, and the receiver's answer if an attempt was made."""

    delivery_id: UUID
    payment_id: UUID | None
    correlation_id: str
    attempt: int
    outcome: DeliveryOutcome
    response_status: int | None = None
    error: str | None = None
    latency_ms: int | None = None


def sent_report(sent: SentAttempt, decision: Decision) -> DeliveryReport:
    """Return the report on an attempt that was sent."""
    delivery, result = sent.attempt.delivery, sent.result
    return DeliveryReport(
        delivery_id=delivery.id,
        payment_id=delivery.payment_id,
        correlation_id=delivery.correlation_id,
        attempt=sent.attempt.number,
        outcome=_OUTCOMES[type(decision)],
        response_status=result.status_code,
        error=result.error,
        latency_ms=result.latency_ms,
    )


def postponed_report(attempt: DeliveryAttempt) -> DeliveryReport:
    """Return the report on an attempt that is made later."""
    delivery = attempt.delivery
    return DeliveryReport(
        delivery_id=delivery.id,
        payment_id=delivery.payment_id,
        correlation_id=delivery.correlation_id,
        attempt=attempt.number,
        outcome=DeliveryOutcome.POSTPONED,
    )
