"""A gateway in this process that takes every charge, and the services to charge with it."""

from __future__ import annotations

import uuid

from paybridge.core.clock import Clock, SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import GatewayAnswer, LookUpAnswer, NotFound, Succeeded
from paybridge.payments.ports import GatewayRequest, PaymentGateway
from paybridge.payments.records import EngineServices

LEASE_SECONDS = 5.0


class RecordingGateway:
    """Takes every charge once, and records the calls."""

    def __init__(self) -> None:
        self.calls: list[uuid.UUID] = []
        self.charged: dict[uuid.UUID, str] = {}

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        """Take the charge."""
        self.calls.append(request.payment_id)
        return Succeeded(self.charged.setdefault(request.payment_id, f"ch_{request.payment_id}"))

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        """Find a charge that was taken."""
        found = self.charged.get(request.payment_id)
        return Succeeded(found) if found else NotFound()


def engine_services(database: Database, gateway: PaymentGateway, clock: Clock | None = None) -> EngineServices:
    """Return the services of a consumer over this database and this gateway."""
    return EngineServices(
        database=database,
        gateways={"default": gateway},
        clock=clock or SystemClock(),
        ids=Uuid7Ids(),
        schedule=Schedule(retry_delays=(1, 2), pending_delays=(1, 2)),
        lease_seconds=LEASE_SECONDS,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
        authorization_seconds=604800,
    )
