"""The records that the steps of the engine pass on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import AttemptPlace, Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import GatewayOutcome
from paybridge.payments.domain.late_changes import CheckAges
from paybridge.payments.domain.operation import Cause, Kind, Operation
from paybridge.payments.domain.payment import Payment
from paybridge.payments.domain.saga import SAGA
from paybridge.payments.ports import PaymentGateway

# How long a payment waits for a review, unless the settings say otherwise.
REVIEW_EXPIRY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineServices:
    """What the engine needs.

    `gateways` are by the names that merchants and payments have for them. `lease_seconds` is how long a started attempt
    belongs to the process that started it: longer than any gateway call may take. `schedule` says when the gateway is
    asked again. `late_charge_ages_seconds` are the ages of an operation that was given up at which it is asked again,
    `refund_check_ages_seconds` those of a refund that succeeded. An authorization can be captured for
    `authorization_seconds`, and a review answered for `review_expiry_seconds`.
    """

    database: Database
    gateways: Mapping[str, PaymentGateway]
    clock: Clock
    ids: Ids
    schedule: Schedule
    lease_seconds: float
    late_charge_ages_seconds: tuple[float, ...]
    circuit_policy: CircuitPolicy
    authorization_seconds: float
    review_expiry_seconds: float = REVIEW_EXPIRY_SECONDS
    refund_check_ages_seconds: tuple[float, ...] = ()

    @property
    def late_check_ages(self) -> CheckAges:
        """Return when to ask again about an operation that has ended."""
        return CheckAges(self.late_charge_ages_seconds, self.refund_check_ages_seconds)


@dataclass(frozen=True, slots=True)
class OperationOrder:
    """A request, from a message, to ask for an operation as the attempt of this number (1 for a new operation).

    With `ask` above 0 it is a request to go on with that attempt. Without `operation_id` the operation is the charge or
    authorization of the payment.
    """

    payment_id: UUID
    number: int
    ask: int = 0
    operation_id: UUID | None = None

    @property
    def id(self) -> UUID:
        """Return the id of the operation."""
        return self.operation_id or self.payment_id


@dataclass(frozen=True, slots=True)
class Attempt:
    """A started attempt, committed before the gateway is called, and its payment as it is then.

    `begun_at` is when the attempt started. `ask_first`: an earlier call may have done it, so look the operation up
    before asking for it. `ask` counts how often the attempt was continued. `was_pending`: the gateway has said that
    it has the operation.
    """

    payment: Payment
    operation: Operation
    number: int
    begun_at: datetime
    ask_first: bool
    ask: int = 0
    was_pending: bool = False

    def place(self, now: datetime) -> AttemptPlace:
        """Return where the attempt is in its schedule."""
        age_seconds = (now - self.begun_at).total_seconds()
        # What undoes a step is never given up: the customer's money would stay with the gateway.
        gives_up = SAGA[self.operation.kind].gives_up and self.operation.cause is Cause.MERCHANT
        return AttemptPlace(self.number, self.ask, self.was_pending, age_seconds, gives_up)


@dataclass(frozen=True, slots=True)
class AnsweredAttempt:
    """An attempt and the gateway's answer to it."""

    attempt: Attempt
    answer: GatewayOutcome


class PaymentOutcome(StrEnum):
    """What a batch did to an operation of a payment. `PaymentResult.error` says whether a person has to look."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # The gateway has the operation and will decide later.
    PENDING = "pending"
    # The gateway gave no clear answer and is asked again later.
    UNKNOWN = "unknown"
    # Screening holds the payment back until a person has looked.
    REVIEW = "review"
    # Not tried yet: another process holds the lease, a circuit is open, or the gateway limits the rate.
    DEFERRED = "deferred"
    # The database refused the payment's change.
    REFUSED = "refused"
    # The gateway took a refund back that had succeeded.
    REFUND_TAKEN_BACK = "refund_taken_back"
    # The gateway made a refund that had been given up.
    REFUNDED_TOO_LATE = "refunded_too_late"
    # The gateway charged or authorized a payment that had been given up.
    CHARGED_TOO_LATE = "charged_too_late"
    # The month of the payment or operation is archived.
    ARCHIVED = "archived"
    # There is no such payment or operation.
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class PaymentResult:
    """The outcome of a batch for one operation of a payment. `error` is set when a person has to look."""

    payment_id: UUID
    correlation_id: str
    outcome: PaymentOutcome
    error: str | None = None
    kind: Kind = Kind.CHARGE


@dataclass(frozen=True, slots=True)
class BatchStart:
    """The attempts to make now, and the results of payments that need none."""

    attempts: list[Attempt]
    results: list[PaymentResult]
