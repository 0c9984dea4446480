"""A gateway in this process that takes every charge, and the services to charge with it."""

from __future__ import annotations

import uuid

from paybridge.core.clock import Clock, SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.charging import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import ChargeAnswer, Charged, LookUpAnswer, NotFound
from paybridge.payments.ports import ChargeRequest, PaymentGateway
from paybridge.payments.records import ChargeServices

LEASE_SECONDS = 5.0


class RecordingGateway:
    """Takes every charge once, and records the calls."""

    def __init__(self) -> None:
        self.calls: list[uuid.UUID] = []
        self.charged: dict[uuid.UUID, str] = {}

    async def charge(self, request: ChargeRequest) -> ChargeAnswer:
        """Take the charge."""
        self.calls.append(request.payment_id)
        return Charged(self.charged.setdefault(request.payment_id, f"ch_{request.payment_id}"))

    async def find_charge(self, request: ChargeRequest) -> LookUpAnswer:
        """Find a charge that was taken."""
        found = self.charged.get(request.payment_id)
        return Charged(found) if found else NotFound()


def charge_services(database: Database, gateway: PaymentGateway, clock: Clock | None = None) -> ChargeServices:
    """Return the services of a consumer over this database and this gateway."""
    return ChargeServices(
        database=database,
        gateway=gateway,
        clock=clock or SystemClock(),
        ids=Uuid7Ids(),
        schedule=Schedule(retry_delays=(1, 2), pending_delays=(1, 2)),
        lease_seconds=LEASE_SECONDS,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
    )
