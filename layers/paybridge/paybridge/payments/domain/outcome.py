"""What the outcome of an operation does to its payment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from paybridge.payments.domain.attempts import Settle
from paybridge.payments.domain.decline_codes import AUTHORIZATION_EXPIRED
from paybridge.payments.domain.operation import FIRST_KINDS, Cause, Kind, Operation, OperationStatus
from paybridge.payments.domain.payment import Status


class Effect(StrEnum):
    """Which part of the payment an outcome changes, and so what the payment must be like for it."""

    # The charge or authorization of a payment that is processing.
    FIRST = "first"
    # The capture or cancellation that the payment waits for.
    HOLD = "hold"
    # A refund whose amount is reserved.
    REFUND = "refund"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentChange:
    """A change of the payment's row; amounts are minor units.

    `status` None: it follows from the amounts, or stays. `captured_minor` and `authorized_minor` are the new totals,
    `refunded_minor` is added. `reserved_minor` of a refund is freed. `has_event`: the payment's state changes.
    """

    effect: Effect
    status: Status | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    authorized_minor: int | None = None
    captured_minor: int | None = None
    refunded_minor: int = 0
    reserved_minor: int = 0
    capture_before: datetime | None = None
    has_event: bool = True


def payment_change(
    operation: Operation,
    settle: Settle,
    now: datetime,
    authorization_seconds: float,
    expires_at: datetime | None = None,
) -> PaymentChange | None:
    """Return what the outcome changes in the payment; None if nothing.

    An authorization can be captured for `authorization_seconds`, or until the gateway's `expires_at` if that is
    earlier. What undoes a step of a payment that has ended changes nothing.
    """
    if operation.kind in FIRST_KINDS:
        return _after_first(operation, settle, now, authorization_seconds, expires_at)
    if operation.kind is Kind.CAPTURE:
        return _after_capture(operation, settle)
    if operation.kind is Kind.VOID and operation.cause in {Cause.MERCHANT, Cause.EXPIRY}:
        return _after_void(operation, settle)
    if operation.kind is Kind.REFUND and operation.cause is Cause.MERCHANT:
        has_succeeded = settle.status is OperationStatus.SUCCEEDED
        return PaymentChange(
            effect=Effect.REFUND,
            refunded_minor=operation.amount_minor if has_succeeded else 0,
            reserved_minor=operation.amount_minor,
            has_event=has_succeeded,
        )
    return None


def _after_first(
    operation: Operation, settle: Settle, now: datetime, authorization_seconds: float, expires_at: datetime | None
) -> PaymentChange:
    if settle.status is not OperationStatus.SUCCEEDED:
        return _failed(Effect.FIRST, settle)
    if operation.kind is Kind.CHARGE:
        return PaymentChange(effect=Effect.FIRST, status=Status.SUCCEEDED, captured_minor=operation.amount_minor)
    ours = now + timedelta(seconds=authorization_seconds)
    return PaymentChange(
        effect=Effect.FIRST,
        status=Status.REQUIRES_CAPTURE,
        authorized_minor=operation.amount_minor,
        capture_before=ours if expires_at is None else min(ours, expires_at),
    )


def _after_capture(operation: Operation, settle: Settle) -> PaymentChange:
    if settle.status is OperationStatus.SUCCEEDED:
        return PaymentChange(effect=Effect.HOLD, status=Status.SUCCEEDED, captured_minor=operation.amount_minor)
    if settle.failure_code == AUTHORIZATION_EXPIRED:
        return _expired()
    return _failed(Effect.HOLD, settle)


def _after_void(operation: Operation, settle: Settle) -> PaymentChange:
    if settle.status is not OperationStatus.SUCCEEDED:
        # The money is still held, and a person looks why.
        return PaymentChange(effect=Effect.HOLD, has_event=False)
    if operation.cause is Cause.EXPIRY:
        return _expired()
    return PaymentChange(effect=Effect.HOLD, status=Status.CANCELED, failure_message=operation.reason)


def _expired() -> PaymentChange:
    return PaymentChange(
        effect=Effect.HOLD,
        status=Status.CANCELED,
        failure_code=AUTHORIZATION_EXPIRED,
        failure_message="The authorization expired before it was captured.",
    )


def _failed(effect: Effect, settle: Settle) -> PaymentChange:
    return PaymentChange(
        effect=effect,
        status=Status.FAILED,
        failure_code=settle.failure_code,
        failure_message=settle.failure_message,
    )
