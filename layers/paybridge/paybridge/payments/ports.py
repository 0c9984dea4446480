"""The port to the payment gateways."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from paybridge.payments.domain.gateway_answers import GatewayAnswer, LookUpAnswer
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import StatementPage, StatementUnavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRequest:
    """An operation to ask the gateway for; the same on every attempt, `idempotency_key` included.

    `amount_minor` is in minor units of `currency`, which has `currency_places`. `gateway_id` is the gateway's name for
    this operation, if it has said one. `target_gateway_id` is its name for the charge or authorization that a capture,
    a void or a refund is about.
    """

    operation_id: UUID
    kind: Kind
    payment_id: UUID
    amount_minor: int
    currency: str
    currency_places: int
    payment_method: str | None
    idempotency_key: str
    gateway_id: str | None = None
    target_gateway_id: str | None = None


class PaymentGateway(Protocol):
    """A payment gateway. A fault of the gateway or the network is an Unknown and never raises.

    What was done before counts as done: a void of an authorization that is released already has succeeded, and so has a
    capture or a refund that a look-up finds.
    """

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        """Ask for the operation, within the gateway's deadline."""
        ...

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        """Look the operation up, by the gateway's own id or by ours."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class StatementSource(Protocol):
    """What a gateway's own books say. A fault of the gateway or the network is a StatementUnavailable, never raised."""

    @property
    def covers_holds(self) -> bool:
        """Tell whether authorizations and voids are on the statement, which move no money."""
        ...

    async def read_statement(
        self, begin: datetime, end: datetime, after: str | None
    ) -> StatementPage | StatementUnavailable:
        """Return the lines from `begin` on and before `end` by the gateway's clock, a page at a time.

        `after` is what the page before said, None for the first. No line is left out and none is on two pages, even if
        the gateway adds others meanwhile.
        """
        ...
