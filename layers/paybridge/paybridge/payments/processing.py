"""What the three steps of processing a batch share."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database
from paybridge.payments.domain.circuit import Circuit, CircuitPolicy
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.ports import GatewayOutcome, PaymentGateway

CIRCUIT = "gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    """All that processing needs.

    `lease_seconds` is how long a started attempt belongs to whoever started it: longer than any gateway call may take.
    `retry_delays_seconds` are the waits between the attempts of one charge.
    """

    database: Database
    gateway: PaymentGateway
    clock: Clock
    ids: Ids
    retry_delays_seconds: tuple[float, ...]
    lease_seconds: float
    circuit_policy: CircuitPolicy


@dataclass(frozen=True, slots=True)
class ChargeOrder:
    """A message's wish: charge this payment, as the attempt of this number (1 for a new payment)."""

    payment_id: UUID
    number: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A started attempt, committed before the gateway is called; the payment is as it was then, processing."""

    payment: Payment
    number: int
    ask_first: bool


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of one payment: its new status, or `unknown` (tried again later) or `deferred` (not tried yet).

    `error` is set when a person has to look: the database refused the payment's change (`refused`), the gateway
    charged a payment that had been given up (`charged_too_late`), or the payment does not exist (`missing`).
    """

    payment_id: UUID
    correlation_id: str
    outcome: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What came of a batch of orders: attempts to make now, and what is to be said of payments that got none."""

    attempts: list[Attempt]
    others: list[Processed]
    circuit: Circuit


@dataclass(frozen=True, slots=True)
class Recorded:
    """The payments that recorded outcomes settled, and those charged although they had been settled otherwise."""

    settled: dict[UUID, Status]
    charged_too_late: set[UUID]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the gateway said to an attempt."""

    attempt: Attempt
    answer: GatewayOutcome
