"""Answer an operator's question: where is this payment, and why?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.events import FIND_LATE_CHARGE
from paybridge.database.database import Database
from paybridge.payments.domain.payment import SETTLED, Payment, Status
from paybridge.payments.domain.query import TimelineEntry, WaitingMessage
from paybridge.payments.domain.timeline import ATTEMPT_PENDING, ATTEMPT_STARTED, CHARGE_TO_RETURN, WEBHOOK_SCHEDULED
from paybridge.payments.timeline import timeline_of

_WEBHOOK_STATES = {
    WEBHOOK_SCHEDULED: "scheduled",
    "webhook.attempt_started": "being sent",
    "webhook.attempt_delivered": "delivered",
    "webhook.attempt_failed": "failed",
    "webhook.exhausted": "given up",
}


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
    timeline = timeline_of(database, payment)
    waiting = diagnosis.waiting_messages(database, payment_id)
    return Diagnosis(payment, timeline, _explain(payment, timeline, waiting, clock.now()))


def _explain(
    payment: Payment, timeline: Sequence[TimelineEntry], waiting: Sequence[WaitingMessage], now: datetime
) -> str:
    pressing = [message for message in waiting if message.type != FIND_LATE_CHARGE]
    if pressing:
        return f"{_explain_waiting(payment, pressing[0], now)}{_explain_pending(timeline)}"
    if payment.status is Status.FAILED:
        return " ".join([_explain_failure(payment, timeline), *_late_charge_checks(waiting, now)])
    if payment.status in SETTLED:
        return f"It is {payment.status}; {_webhook_state(timeline)}."
    if payment.status is Status.PENDING:
        return "Its message is with the broker, in the queue payments.new or with the consumer; nothing was charged."
    if timeline and timeline[-1].type == ATTEMPT_STARTED:
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


def _explain_pending(timeline: Sequence[TimelineEntry]) -> str:
    at_gateway = [entry.type for entry in timeline if entry.type.startswith("gateway.")]
    if at_gateway[-1:] != [ATTEMPT_PENDING]:
        return ""
    return " The gateway has the charge and has not decided yet; that may take days."


def _explain_failure(payment: Payment, timeline: Sequence[TimelineEntry]) -> str:
    gateway_codes = [code for entry in timeline if (code := entry.details.get("gateway_code"))]
    said = f" The gateway's own code is {gateway_codes[-1]}." if gateway_codes else ""
    return " ".join(
        [f"It failed with {payment.failure_code}: {payment.failure_message}{said}", *_money_to_return(timeline)]
    )


def _late_charge_checks(waiting: Sequence[WaitingMessage], now: datetime) -> list[str]:
    return [
        f"The gateway is asked in {max((message.available_at - now).total_seconds(), 0):.0f} s whether it charged late."
        for message in waiting[:1]
    ]


def _money_to_return(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Say what the gateway took for a payment that failed, one sentence a charge."""
    return [
        f"The gateway took {entry.details['amount']} {entry.details['currency']} all the same"
        f" ({entry.details['reason']}, charge {entry.details['gateway_id']}): give it back."
        for entry in timeline
        if entry.type == CHARGE_TO_RETURN
    ]


def _webhook_state(timeline: Sequence[TimelineEntry]) -> str:
    steps = [entry for entry in timeline if entry.type.startswith("webhook.")]
    if not steps:
        return "no webhook was asked for, or its event is still on the way to the webhooks function"
    last = steps[-1]
    reason = last.details.get("error") or last.details.get("response_status")
    answer = f" ({reason})" if reason is not None else ""
    return f"its last webhook is {_WEBHOOK_STATES.get(last.type, last.type)}{answer}"
