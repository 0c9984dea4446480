"""The port to the payment gateway, and the answers it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to ask the gateway for; `idempotency_key` is the same on every attempt at the same charge."""

    payment_id: UUID
    amount_minor: int
    currency: str
    payment_method: str | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Charged:
    """The gateway took the money; `gateway_id` is its proof."""

    gateway_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The gateway declined the charge for good."""

    failure_code: str
    message: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The gateway refused the request as unreadable or not allowed: this call charged nothing."""

    error: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is unknown whether the money moved: the gateway gave no answer, or no clear one.

    The payment may fail, with `failure_code`, only once `never_arrived` is true: the gateway, asked afterwards, knows
    of no such charge.
    """

    failure_code: str
    error: str
    never_arrived: bool = False


GatewayOutcome = Charged | Declined | Unknown


class PaymentGateway(Protocol):
    """The payment gateway. A fault of the gateway or the network is an Unknown and never raises."""

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Ask for the charge, within the gateway's deadline."""
        ...

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """Look the charge up by our reference; None if the gateway knows of no such charge."""
        ...
