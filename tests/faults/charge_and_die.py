"""Charge one payment and die the moment the gateway has answered; test_consumer_killed runs this."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid

from local.testkit.servers import address_of
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import GatewayAnswer
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations


class DeadlyGateway(HttpGateway):
    """The real gateway; the process dies after its answer, as if its machine had lost power."""

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        await super().send(request)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("SIGKILL does not return")


async def main(database_url: str, gateway_url: str, lease_seconds: float, payment_id: str) -> None:
    services = EngineServices(
        database=Database(address_of(database_url)),
        gateways={"default": DeadlyGateway(gateway_url, 5)},
        clock=SystemClock(),
        ids=Uuid7Ids(),
        schedule=Schedule((1, 2), (1, 2)),
        lease_seconds=lease_seconds,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(20, 5),
        authorization_seconds=604800,
    )
    await run_operations(services, [OperationOrder(uuid.UUID(payment_id), 1)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4]))
