"""The port to the payment gateway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from paybridge.payments.domain.gateway_answers import ChargeAnswer, LookUpAnswer


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """A charge to ask the gateway for; `idempotency_key` is the same on every attempt at the same charge."""

    payment_id: UUID
    amount_minor: int
    currency: str
    payment_method: str | None
    idempotency_key: str


class PaymentGateway(Protocol):
    """The payment gateway. A fault of the gateway or the network is an Unknown and never raises."""

    async def charge(self, request: ChargeRequest) -> ChargeAnswer:
        """Ask for the charge, within the gateway's deadline."""
        ...

    async def find_charge(self, request: ChargeRequest) -> LookUpAnswer:
        """Look the charge up by our reference."""
        ...
