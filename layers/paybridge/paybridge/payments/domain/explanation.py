"""What operators read about an operation: its members, and where it is and why, in a sentence."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from paybridge.core.money import format_places
from paybridge.core.times import format_time
from paybridge.payments.domain.operation import UNSETTLED_STATUSES, Cause, Operation, OperationStatus
from paybridge.payments.domain.query import WaitingMessage

WITH_THE_BROKER = "Its message is with the broker, in the queue payments.new or with the consumer"


def explain_operation(
    operation: Operation,
    currency: str,
    currency_places: int,
    waiting: WaitingMessage | None,
    error: str | None,
    now: datetime,
) -> str:
    """Say what an operation is and how it stands.

    `waiting` is its command in the outbox, and `error` why the gateway gave no clear answer to its last attempt.
    """
    amount = format_places(operation.amount_minor, currency_places)
    cause = "" if operation.cause is Cause.MERCHANT else f", {operation.cause}"
    name = f"{operation.kind.replace('_', ' ').capitalize()} {operation.id} ({amount} {currency}{cause})"
    sentences = [f"{name} {_state(operation, error)}."]
    if operation.status in UNSETTLED_STATUSES:
        sentences += _next(operation, waiting, now)
    return " ".join(sentences)


def operation_view(operation: Operation, currency_places: int) -> dict[str, Any]:
    """Return the operation as operators' answers show it, JSON-ready, the amount as a decimal string."""
    return {
        "operation_id": str(operation.id),
        "kind": str(operation.kind),
        "cause": str(operation.cause),
        "status": str(operation.status),
        "amount": format_places(operation.amount_minor, currency_places),
        "gateway": operation.gateway,
        "gateway_id": operation.gateway_id,
        "attempts": operation.number,
        "asks": operation.asks,
        "failure_code": operation.failure_code,
        "created_at": format_time(operation.created_at),
        "updated_at": format_time(operation.updated_at),
    }


def explain_waiting(message: WaitingMessage, now: datetime) -> str:
    """Say what a message in the outbox waits for, as the end of a sentence that names it."""
    place = f"waits in the outbox for {message.routing_key}"
    if message.last_error is not None:
        return f"{place}, refused {message.attempts} times: {message.last_error}."
    due_seconds = (message.available_at - now).total_seconds()
    if due_seconds > 0:
        return f"{place} and is due in {due_seconds:.0f} s."
    return f"{place} and has been due for {-due_seconds:.0f} s: is the relay running and the broker there?"


def _state(operation: Operation, error: str | None) -> str:
    return _open_state(operation, error) if operation.status in UNSETTLED_STATUSES else _outcome(operation)


def _open_state(operation: Operation, error: str | None) -> str:
    match operation.status:
        case OperationStatus.ACCEPTED:
            return "is accepted, and the gateway was not asked yet"
        case OperationStatus.STARTED:
            began_at = operation.asked_at or operation.started_at
            return f"has attempt {operation.number} under way since {began_at:%Y-%m-%d %H:%M:%S} UTC"
        case OperationStatus.PENDING:
            since = f"{operation.pending_at:%Y-%m-%d %H:%M:%S} UTC"
            return f"is with the gateway since {since}, which has not decided yet; that may take days"
        case OperationStatus.RATE_LIMITED:
            return f"met the gateway's rate limit at attempt {operation.number}"
        case _:
            reason = f": {error}" if error else ""
            return f"has no clear answer to attempt {operation.number}{reason}"


def _outcome(operation: Operation) -> str:
    match operation.status:
        case OperationStatus.REVERSED:
            return f"had succeeded, and the gateway has taken it back ({operation.failure_code})"
        case OperationStatus.DECLINED:
            message = operation.failure_message or "the gateway gave no reason"
            return f"failed with {operation.failure_code}: {message.rstrip('.')}"
        case OperationStatus.PARTIAL:
            return "was approved in part"
        case _:
            return "has succeeded"


def _next(operation: Operation, waiting: WaitingMessage | None, now: datetime) -> list[str]:
    if waiting is not None:
        return [f"Its next command {explain_waiting(waiting, now)}"]
    # While a call may be under way there is no other message.
    return [] if operation.status is OperationStatus.STARTED else [f"{WITH_THE_BROKER}."]
