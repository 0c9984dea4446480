"""Answer an operator's question: where is this payment, and why?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.events import FIND_LATE_CHANGE, INTERNAL_TYPES, WEBHOOK_EXHAUSTED
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import Call
from paybridge.payments.domain.explanation import WITH_THE_BROKER, explain_operation, explain_waiting, operation_view
from paybridge.payments.domain.operation import (
    DEFAULT_GATEWAY,
    UNSETTLED_STATUSES,
    Cause,
    Kind,
    Operation,
    OperationStatus,
)
from paybridge.payments.domain.pace import holds
from paybridge.payments.domain.payment import SETTLED, Payment, Status, payment_view
from paybridge.payments.domain.query import TimelineEntry, WaitingMessage
from paybridge.payments.domain.timeline import ATTEMPT_PENDING, ATTEMPT_STARTED, CHARGE_TO_RETURN, WEBHOOK_SCHEDULED
from paybridge.payments.domain.told import explain_notifications
from paybridge.payments.store import circuits
from paybridge.payments.timeline import timeline_of

_WEBHOOK_STATES = {
    WEBHOOK_SCHEDULED: "is scheduled",
    "webhook.attempt_started": "is being sent",
    "webhook.attempt_delivered": "was delivered",
    "webhook.attempt_failed": "failed",
    WEBHOOK_EXHAUSTED: "was given up",
}
# What waits for these holds up nothing of the payment.
_NOT_PRESSING = frozenset({FIND_LATE_CHANGE, *INTERNAL_TYPES})
_NO_WEBHOOK = "No webhook was asked for, or its event is still on the way to the webhooks function."
# What an operation undoes that took money for a payment which failed.
_GIVING_BACK = frozenset({Cause.PARTIAL_APPROVAL, Cause.CHARGED_LATE})
_WEBHOOK_ANSWERS = frozenset({"webhook.attempt_delivered", "webhook.attempt_failed"})


@dataclass(frozen=True, slots=True)
class ExplainedOperation:
    """What was asked of the gateway, and a sentence or two that say where it is and why."""

    operation: Operation
    explanation: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A payment, its timeline, an explanation of where it is and why, and one of each of its operations.

    The first operation is the charge or authorization, once it has begun.
    """

    payment: Payment
    timeline: list[TimelineEntry]
    explanation: str
    operations: list[ExplainedOperation]


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
    operations = diagnosis.operations(database, payment_id)
    later = [operation for operation in operations if operation.id != payment_id]
    now = clock.now()
    checks = diagnosis.next_checks(database, payment_id)
    about_payment = [message for message in waiting if message.operation_id in (None, payment_id)]
    sentences = [_explain(payment, timeline, about_payment, later, now)]
    if payment_id in checks:
        sentences.append(_next_check(checks[payment_id], now, "it charged late"))
    if payment.status not in SETTLED:
        sentences += _last_error(payment_id, timeline)
    if payment.status not in SETTLED or any(operation.status in UNSETTLED_STATUSES for operation in later):
        sentences += _limits(database, payment, now)
    sentences += explain_notifications(timeline)
    explained = [
        ExplainedOperation(operation, _explain_one(operation, payment, timeline, waiting, checks, now))
        for operation in operations
    ]
    return Diagnosis(payment, timeline, " ".join(sentences), explained)


def diagnosis_view(found: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as operators' answers show it, JSON-ready, without the timeline."""
    payment = found.payment
    return {
        **payment_view(payment),
        "merchant_id": str(payment.merchant_id),
        "correlation_id": payment.correlation_id,
        "gateway": payment.gateway,
        "gateway_id": payment.gateway_id,
        "version": payment.version,
        "explanation": found.explanation,
        "operations": [
            {**operation_view(each.operation, payment.currency_places), "explanation": each.explanation}
            for each in found.operations
        ],
    }


def _explain_one(
    operation: Operation,
    payment: Payment,
    timeline: Sequence[TimelineEntry],
    waiting: Sequence[WaitingMessage],
    checks: Mapping[UUID, datetime],
    now: datetime,
) -> str:
    command = next((message for message in waiting if message.operation_id == operation.id), None)
    unclear = _unclear_attempts(operation.id, timeline)
    error = unclear[-1].details["error"] if unclear else None
    explained = explain_operation(operation, payment.currency, payment.currency_places, command, error, now)
    if operation.id not in checks:
        return explained
    question = "the refund still stands" if operation.status is OperationStatus.SUCCEEDED else "it did this after all"
    return f"{explained} {_next_check(checks[operation.id], now, question)}"


def _last_error(payment_id: UUID, timeline: Sequence[TimelineEntry]) -> list[str]:
    return [
        f"The gateway gave no clear answer to attempt {entry.details['number']}: {entry.details['error']}."
        for entry in _unclear_attempts(payment_id, timeline)[-1:]
    ]


def _unclear_attempts(operation_id: UUID, timeline: Sequence[TimelineEntry]) -> list[TimelineEntry]:
    return [
        entry
        for entry in timeline
        if entry.type.startswith("gateway.attempt_")
        and entry.details["operation_id"] == str(operation_id)
        and entry.details.get("error")
    ]


def _limits(database: Database, payment: Payment, now: datetime) -> list[str]:
    """Say which circuits hold the payment's calls back, and how fast calls for its merchant are."""
    gateway = payment.gateway or DEFAULT_GATEWAY
    call = Call(payment.id, payment.merchant_id, payment.payment_method, payment.created_at, gateway)
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
    payment: Payment,
    timeline: Sequence[TimelineEntry],
    waiting: Sequence[WaitingMessage],
    later: Sequence[Operation],
    now: datetime,
) -> str:
    pressing = [message for message in waiting if message.type not in _NOT_PRESSING]
    if pressing:
        place = f"It is {payment.status}; {pressing[0].type} {explain_waiting(pressing[0], now)}"
        return f"{place}{_explain_pending(payment, timeline)}"
    if payment.status is Status.FAILED:
        return " ".join([_explain_failure(payment, timeline, later), *_last_webhook(timeline)])
    if payment.status in SETTLED:
        state = [f"Its status is {payment.status}.", *_hold(payment)]
        return " ".join([*state, *(_last_webhook(timeline) or [_NO_WEBHOOK])])
    return _explain_unsettled(payment, timeline)


def _explain_unsettled(payment: Payment, timeline: Sequence[TimelineEntry]) -> str:
    if payment.status is Status.REVIEW:
        return " ".join([_explain_review(payment), *_last_webhook(timeline)])
    if payment.status is Status.PENDING:
        return f"{WITH_THE_BROKER}; nothing was charged."
    if timeline and timeline[-1].type == ATTEMPT_STARTED:
        return "The gateway was asked for the charge and has not answered yet."
    return f"{WITH_THE_BROKER}."


def _explain_review(payment: Payment) -> str:
    screening = payment.screening or {}
    rules = ", ".join(screening.get("rules", ())) or "none"
    return (
        f"Screening holds it for a review: score {screening.get('score', 0)}, rules {rules}. Nothing was charged. It "
        "waits until it is approved, rejected or canceled, or its review expires."
    )


def _hold(payment: Payment) -> list[str]:
    """Say until when authorized money waits, and for what."""
    if payment.status is not Status.REQUIRES_CAPTURE or payment.capture_before is None:
        return []
    wanted = "a capture or a cancellation" if payment.pending_operation is None else f"its {payment.pending_operation}"
    return [f"The money is authorized until {payment.capture_before:%Y-%m-%d %H:%M:%S} UTC and waits for {wanted}."]


def _explain_pending(payment: Payment, timeline: Sequence[TimelineEntry]) -> str:
    at_gateway = [entry.type for entry in timeline if entry.details.get("operation_id") == str(payment.id)]
    if at_gateway[-1:] != [ATTEMPT_PENDING]:
        return ""
    return " The gateway has the charge and has not decided yet; that may take days."


def _explain_failure(payment: Payment, timeline: Sequence[TimelineEntry], later: Sequence[Operation]) -> str:
    gateway_codes = [code for entry in timeline if (code := entry.details.get("gateway_code")) and _takes_money(entry)]
    said = f" The gateway's own code is {gateway_codes[-1]}." if gateway_codes else ""
    return " ".join(
        [f"It failed with {payment.failure_code}: {payment.failure_message}{said}", *_money_to_return(timeline, later)]
    )


def _takes_money(entry: TimelineEntry) -> bool:
    return entry.details["operation"] in (Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE)


def _next_check(ask_at: datetime, now: datetime, question: str) -> str:
    return f"The gateway is asked in {max((ask_at - now).total_seconds(), 0):.0f} s whether {question}."


def _money_to_return(timeline: Sequence[TimelineEntry], later: Sequence[Operation]) -> list[str]:
    """Say what the gateway took for a payment that failed, one sentence a charge, and what gives it back."""
    undoing = {operation.target_gateway_id: operation for operation in later if operation.cause in _GIVING_BACK}
    return [
        f"The gateway took {entry.details['amount']} {entry.details['currency']} all the same"
        f" ({entry.details['reason']}, charge {entry.details['gateway_id']}): "
        + _given_back(undoing.get(entry.details["gateway_id"]))
        for entry in timeline
        if entry.type == CHARGE_TO_RETURN
    ]


def _given_back(undo: Operation | None) -> str:
    return "give it back." if undo is None else f"the {undo.kind} {undo.id} gives it back."


def _last_webhook(timeline: Sequence[TimelineEntry]) -> list[str]:
    """Say how the last webhook stands, in one sentence if there is one."""
    steps = [entry for entry in timeline if entry.type.startswith("webhook.")]
    if not steps:
        return []
    last = steps[-1]
    reason = last.details.get("error") or last.details.get("response_status")
    answer = f" ({reason})" if reason is not None else ""
    endpoint_id = last.details.get("endpoint_id")
    target = f" to endpoint {endpoint_id}" if endpoint_id is not None else ""
    state = (
        f"Its last webhook{target} {_WEBHOOK_STATES.get(last.type, last.type)}{answer}, {last.at:%Y-%m-%d %H:%M:%S} UTC"
    )
    answers = [entry for entry in steps if entry.type in _WEBHOOK_ANSWERS]
    if last.type == WEBHOOK_EXHAUSTED and answers:
        said = answers[-1].details.get("error") or answers[-1].details.get("response_status")
        return [f"{state}, after the receiver's last answer ({said}): only its merchant can have it sent again."]
    return [f"{state}."]
