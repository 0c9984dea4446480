"""Answer an operator's question: where is this payment, and why?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.events import FIND_LATE_CHARGE, WEBHOOK_EXHAUSTED
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import Call
from paybridge.payments.domain.pace import holds
from paybridge.payments.domain.payment import SETTLED, Payment, Status
from paybridge.payments.domain.query import TimelineEntry, WaitingMessage
from paybridge.payments.domain.timeline import ATTEMPT_PENDING, ATTEMPT_STARTED, CHARGE_TO_RETURN, WEBHOOK_SCHEDULED
from paybridge.payments.store import circuits
from paybridge.payments.timeline import timeline_of

_WEBHOOK_STATES = {
    WEBHOOK_SCHEDULED: "is scheduled",
    "webhook.attempt_started": "is being sent",
    "webhook.attempt_delivered": "was delivered",
    "webhook.attempt_failed": "failed",
    WEBHOOK_EXHAUSTED: "was given up",
}
_NO_WEBHOOK = "No webhook was asked for, or its event is still on the way to the webhooks function."
_WEBHOOK_ANSWERS = frozenset({"webhook.attempt_delivered", "webhook.attempt_failed"})


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
    errors = diagnosis.gateway_errors(database, payment_id)
    timeline = [_with_error(entry, errors) for entry in timeline_of(database, payment)]
    waiting = diagnosis.waiting_messages(database, payment_id)
    now = clock.now()
    sentences = [_explain(payment, timeline, waiting, now)]
    if payment.status not in SETTLED:
        sentences += [*_last_error(errors), *_limits(database, payment, now)]
    return Diagnosis(payment, timeline, " ".join(sentences))


def _with_error(entry: TimelineEntry, errors: Mapping[int, str]) -> TimelineEntry:
    """Add why the gateway gave no clear answer to the entry of an attempt's end."""
    is_end = entry.type.startswith("gateway.attempt_") and entry.type != ATTEMPT_STARTED
    error = errors.get(entry.details.get("number", 0)) if is_end else None
    return entry if error is None else replace(entry, details={**entry.details, "error": error})


def _last_error(errors: Mapping[int, str]) -> list[str]:
    return [f"The gateway gave no clear answer to attempt {number}: {errors[number]}." for number in [*errors][-1:]]


def _limits(database: Database, payment: Payment, now: datetime) -> list[str]:
    """Say which circuits hold the payment's calls back, and how fast calls for its merchant are."""
    call = Call(payment.id, payment.merchant_id, payment.payment_method, payment.created_at)
    scopes = dict(zip(call.circuits, ("the payment method", "the merchant", "the gateway"), strict=True))
    sources = circuits.read(database, call.circuits)
    sentences = [
        f"The circuit of {scopes[name]} is open after {source.circuit.consecutive_failures} failures in a row, "
        f"until {source.circuit.open_until:%H:%M:%S} UTC: calls wait, and an answer closes it."
        for name, source in sources.items()
        if source.circuit.open_until is not None and source.circuit.open_until > now
    ]
    pace = sources[call.merchant].pace if call.merchant in sources else None
    if pace is not None and holds(pace, now):
        sentences.append(
            f"The gateway limits the rate: calls for this merchant go at {pace.calls_per_second:.1f} a second."
        )
    return sentences


def _explain(
    payment: Payment, timeline: Sequence[TimelineEntry], waiting: Sequence[WaitingMessage], now: datetime
) -> str:
    pressing = [message for message in waiting if message.type != FIND_LATE_CHARGE]
    if pressing:
        return f"{_explain_waiting(payment, pressing[0], now)}{_explain_pending(timeline)}"
    if payment.status is Status.FAILED:
        sentences = [_explain_failure(payment, timeline), *_late_charge_checks(waiting, now)]
        return " ".join([*sentences, *_last_webhook(timeline)])
    if payment.status in SETTLED:
        return " ".join([f"Its status is {payment.status}.", *(_last_webhook(timeline) or [_NO_WEBHOOK])])
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


def _last_webhook(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Say how the last webhook stands, in one sentence if there is one."""
    steps = [entry for entry in timeline if entry.type.startswith("webhook.")]
    if not steps:
        return []
    last = steps[-1]
    reason = last.details.get("error") or last.details.get("response_status")
    answer = f" ({reason})" if reason is not None else ""
    state = f"Its last webhook {_WEBHOOK_STATES.get(last.type, last.type)}{answer}, {last.at:%Y-%m-%d %H:%M:%S} UTC"
    answers = [entry for entry in steps if entry.type in _WEBHOOK_ANSWERS]
    if last.type == WEBHOOK_EXHAUSTED and answers:
        said = answers[-1].details.get("error") or answers[-1].details.get("response_status")
        return [f"{state}, after the receiver's last answer ({said}): Paybridge does not send it again."]
    return [f"{state}."]
