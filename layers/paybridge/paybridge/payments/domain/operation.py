"""An operation: one thing that is asked of a gateway, with its id and its state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from paybridge.payments.domain.payment import Payment

# The gateway of merchants that have chosen no other. The default of merchants.gateway repeats this.
DEFAULT_GATEWAY = "default"
STRIPE_GATEWAY = "stripe"
GATEWAYS = (DEFAULT_GATEWAY, STRIPE_GATEWAY)


class Kind(StrEnum):
    """What is asked of the gateway. A refund_reversal is its own doing and is only recorded."""

    CHARGE = "charge"
    AUTHORIZATION = "authorization"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    REFUND_REVERSAL = "refund_reversal"


# The first operation of a payment, whose id is the payment's.
FIRST_KINDS = frozenset({Kind.CHARGE, Kind.AUTHORIZATION})


class Cause(StrEnum):
    """Why there is an operation: a merchant asked for it, or something has to be undone."""

    MERCHANT = "merchant"
    # The authorization was not captured in time.
    EXPIRY = "expiry"
    # The gateway approved only a part.
    PARTIAL_APPROVAL = "partial_approval"
    CAPTURE_FAILED = "capture_failed"
    # The gateway charged a payment that had been given up.
    CHARGED_LATE = "charged_late"
    # The gateway did it, and we record it.
    GATEWAY = "gateway"


class OperationStatus(StrEnum):
    """The state of an operation, which is that of its newest attempt once there is one."""

    # Nothing was asked yet.
    ACCEPTED = "accepted"
    # An attempt is committed, and its call may be under way.
    STARTED = "started"
    # The gateway has the operation and will decide later.
    PENDING = "pending"
    # Every call of this attempt was turned away, so nothing can have happened.
    RATE_LIMITED = "rate_limited"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    # Less than the amount was approved.
    PARTIAL = "partial"
    DECLINED = "declined"
    # A refund that had succeeded, and that the gateway took back.
    REVERSED = "reversed"


# After these the gateway is asked again.
OPEN_STATUSES = frozenset({OperationStatus.PENDING, OperationStatus.RATE_LIMITED, OperationStatus.UNKNOWN})
# Its outcome is not known yet.
UNSETTLED_STATUSES = OPEN_STATUSES | {OperationStatus.ACCEPTED, OperationStatus.STARTED}


class OperationNames(Protocol):
    """What a command says about the operation that it wants run."""

    @property
    def id(self) -> UUID:
        """Return the id of the operation."""
        ...

    @property
    def payment_id(self) -> UUID:
        """Return the id of its payment."""
        ...

    @property
    def merchant_id(self) -> UUID:
        """Return the id of the merchant that the payment belongs to."""
        ...

    @property
    def correlation_id(self) -> str:
        """Return the id that connects everything one request has caused."""
        ...


class OperationRef(NamedTuple):
    """An operation by its names alone."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation as the database holds it; amounts are minor units of the payment's currency.

    `number` counts the attempts, `asks` how often the gateway was asked again about the newest one. `gateway_id` is the
    gateway's name for this operation, and `target_gateway_id` that of the charge or authorization it is about, where
    that is not the payment's. `last_sequence` numbers the events about a refund; other operations have none.
    """

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    kind: Kind
    cause: Cause
    gateway: str
    amount_minor: int
    status: OperationStatus
    correlation_id: str
    created_at: datetime
    updated_at: datetime
    number: int = 0
    asks: int = 0
    started_at: datetime | None = None
    asked_at: datetime | None = None
    pending_at: datetime | None = None
    finished_at: datetime | None = None
    gateway_id: str | None = None
    target_gateway_id: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    approved_minor: int | None = None
    reason: str | None = None
    metadata: dict[str, str] | None = None
    last_sequence: int = 0


def first_operation(payment: Payment, gateway: str, now: datetime) -> Operation:
    """Return the charge or authorization that the payment begins with, as its first attempt starts."""
    return Operation(
        id=payment.id,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        kind=Kind.CHARGE if payment.capture == "automatic" else Kind.AUTHORIZATION,
        cause=Cause.MERCHANT,
        gateway=gateway,
        amount_minor=payment.amount_minor,
        status=OperationStatus.STARTED,
        correlation_id=payment.correlation_id,
        created_at=now,
        updated_at=now,
        number=1,
        started_at=now,
    )


def accepted_first_operation(payment: Payment, now: datetime) -> Operation:
    """Return the charge or authorization that the payment begins with, before its first attempt.

    The payment is processing, at the gateway that is chosen for it.
    """
    first = first_operation(payment, payment.gateway or DEFAULT_GATEWAY, now)
    return replace(first, status=OperationStatus.ACCEPTED, number=0, started_at=None)


def new_operation(
    kind: Kind,
    payment: Payment,
    amount_minor: int,
    *,
    id_: UUID,
    correlation_id: str,
    now: datetime,
) -> Operation:
    """Return an operation that a merchant orders for a payment whose charge or authorization has succeeded."""
    return Operation(
        id=id_,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        kind=kind,
        cause=Cause.MERCHANT,
        gateway=payment.gateway or DEFAULT_GATEWAY,
        amount_minor=amount_minor,
        status=OperationStatus.ACCEPTED,
        correlation_id=correlation_id,
        created_at=now,
        updated_at=now,
        last_sequence=1 if kind is Kind.REFUND else 0,
    )


def gateway_key(operation_id: UUID, kind: Kind) -> str:
    """Return the gateway's idempotency key: one for each operation, the same on every attempt."""
    return f"{operation_id}:{kind}"
