"""What the use cases of payments need from the outside world: a payment gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to ask the gateway for; `idempotency_key` is the same on every try of the same charge."""

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
    """The gateway refused for good."""

    failure_code: str
    message: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The gateway refused the request itself, as one it cannot read or does not allow: this call charged nothing."""

    error: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether the money moved: no answer, or none that says so clearly.

    `failure_code` is what the payment fails with in the end; it may only once `never_arrived` is true, which is when
    the gateway, asked afterwards, has never heard of the charge.
    """

    failure_code: str
    error: str
    never_arrived: bool = False


GatewayOutcome = Charged | Declined | Unknown


class PaymentGateway(Protocol):
    """The payment gateway. Never raises for the gateway's or the network's fault: that is an Unknown."""

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        """Asks for the charge, within the gateway's deadline."""
        ...

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        """Asks by our reference what became of the charge; None when the gateway has never heard of it."""
        ...
