"""Answer an operator's question: where is this payment, and why?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.database.database import Database
from paybridge.payments.domain.payment import SETTLED, Payment, Status
from paybridge.payments.domain.query import TimelineEntry, WaitingMessage
from paybridge.payments.store import queries as payment_queries


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A payment, its timeline, and one sentence that explains where it is and why."""

    payment: Payment
    timeline: list[TimelineEntry]
    explanation: str


def diagnose_payment(database: Database, clock: Clock, payment_id: UUID) -> Diagnosis | None:
    """Explain the state of any merchant's payment to an operator. Return None if there is no such payment.

    Raises DatabaseUnavailable.
    """
    # Diagnosis imports SQLAlchemy, which few commands need.
    from paybridge.payments.store import diagnosis

    payment = diagnosis.find(database, payment_id)
    if payment is None:
        return None
    timeline = payment_queries.timeline(database, payment.merchant_id, payment_id)
    waiting = diagnosis.waiting_messages(database, payment_id)
    return Diagnosis(payment, timeline, _explain(payment, timeline, waiting, clock.now()))


def _explain(
    payment: Payment, timeline: Sequence[TimelineEntry], waiting: Sequence[WaitingMessage], now: datetime
) -> str:
    if waiting:
        return _explain_waiting(payment, waiting[0], now)
    if payment.status is Status.FAILED:
        return f"It failed with {payment.failure_code}: {payment.failure_message}"
    if payment.status in SETTLED:
        return f"It is {payment.status}; {_webhook_state(timeline)}."
    if payment.status is Status.PENDING:
        return "Its message is with the broker, in the queue payments.new or with the consumer; nothing was charged."
    if timeline and timeline[-1].type == "gateway.attempt_started":
        return "The gateway was asked for the charge and has not answered yet."
    return "Its message is with the broker, in the queue payments.new or with the consumer."


def _explain_waiting(payment: Payment, message: WaitingMessage, now: datetime) -> str:
    place = f"It is {payment.status}; {message.type} waits in the outbox for {message.routing_key}"
    if message.last_error is not None:
        return f"{place}, refused {message.attempts} times: {message.last_error}."
    due_seconds = (message.available_at - now).total_seconds()
    if due_seconds > 0:
        return f"{place} and is due in {due_seconds:.0f} s."
    return f"{place} and has been due for {-due_seconds:.0f} s: is the relay running and the broker there?"


def _webhook_state(timeline: Sequence[TimelineEntry]) -> str:
    scheduled = [entry for entry in timeline if entry.type == "webhook.scheduled"]
    if not scheduled:
        return "no webhook was asked for, or its event is still on the way to the webhooks function"
    return f"its last webhook is {scheduled[-1].details['status']}"
