"""Requests for the contract suite, and asking as the engine asks."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from paybridge.payments import call_gateway
from paybridge.payments.domain.gateway_answers import GatewayOutcome, PartlyApproved, Succeeded
from paybridge.payments.domain.operation import Kind, gateway_key
from paybridge.payments.ports import GatewayRequest, PaymentGateway
from tests.payments.gateways.contract.driver import Gateway, Money

AMOUNT_MINOR = 10050
CURRENCY = "EUR"
PLACES = 2


@dataclass
class Payment:
    """One payment at the gateway under test, and what is asked for it."""

    gateway: Gateway
    method: str | None
    amount_minor: int = AMOUNT_MINOR
    currency: str = CURRENCY
    places: int = PLACES
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    # The gateway's id of the charge or authorization.
    target: str | None = None

    def request(self, kind: Kind, amount_minor: int | None = None, **changes: Any) -> GatewayRequest:
        """A new operation for the whole amount, unless another is given."""
        is_first = kind in (Kind.CHARGE, Kind.AUTHORIZATION)
        operation_id = self.id if is_first else uuid.uuid4()
        request = GatewayRequest(
            operation_id=operation_id,
            kind=kind,
            payment_id=self.id,
            amount_minor=amount_minor or self.amount_minor,
            currency=self.currency,
            currency_places=self.places,
            payment_method=self.method,
            idempotency_key=gateway_key(operation_id, kind),
            target_gateway_id=None if is_first else self.target,
        )
        return replace(request, **changes)

    async def prepared(self, kind: Kind) -> GatewayRequest:
        """A request of this kind, once what it needs has been done before."""
        if kind in (Kind.CAPTURE, Kind.VOID):
            await self.take(Kind.AUTHORIZATION)
        if kind is Kind.REFUND:
            await self.take(Kind.CHARGE)
        return self.request(kind)

    async def take(self, kind: Kind) -> None:
        """Charge or authorize, which succeeds at least in part."""
        outcome = await self.gateway.adapter.send(self.request(kind))
        assert isinstance(outcome, Succeeded | PartlyApproved), outcome
        self.target = outcome.gateway_id

    async def deeds(self, kind: Kind) -> list[int]:
        """The amounts, in the payment's minor units, of this kind in the gateway's own books."""
        return [entry.amount_minor for entry in await self.gateway.books(self.id) if entry.kind is kind]


async def a_payment(gateway: Gateway, money: Money = Money.GOOD, **changes: Any) -> Payment:
    """A payment whose money behaves like this."""
    return Payment(gateway, await gateway.method(money), **changes)


async def ask(adapter: PaymentGateway, request: GatewayRequest, ask_first: bool = False) -> GatewayOutcome:
    """Ask as the engine asks."""
    return await call_gateway.ask(adapter, request, ask_first)
