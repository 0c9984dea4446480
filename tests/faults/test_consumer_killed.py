"""A consumer killed between the charge and the commit: the customer pays once, and the payment settles."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.testkit.local_servers import running_gateway
from local.testkit.payments import attempt_rows, charges, new_merchant, new_payment, payment_row
from local.testkit.servers import address_of
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations

pytestmark = [pytest.mark.integration, pytest.mark.faults]

REPOSITORY = Path(__file__).resolve().parents[2]
LEASE_SECONDS = 0.5


async def test_the_next_delivery_finds_the_charge_and_settles(database_url: str, tmp_path: Path) -> None:
    database = Database(address_of(database_url))
    payment_id = new_payment(database, new_merchant(database))
    with running_gateway(tmp_path / "charges.jsonl") as gateway_url:
        killed = await asyncio.to_thread(
            subprocess.run,
            [
                sys.executable,
                "-m",
                "tests.faults.charge_and_die",
                database_url,
                gateway_url,
                str(LEASE_SECONDS),
                str(payment_id),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(["functions", "layers/paybridge", "."])},
            timeout=60,
        )
        assert killed.returncode == -signal.SIGKILL
        assert payment_row(database, payment_id)["status"] == "processing"
        assert [attempt["status"] for attempt in attempt_rows(database, payment_id)] == ["started"]
        assert len(charges(gateway_url, payment_id)) == 1

        await asyncio.sleep(LEASE_SECONDS)
        gateway = HttpGateway(gateway_url, 5)
        services = EngineServices(
            database=database,
            gateways={"default": gateway},
            clock=SystemClock(),
            ids=Uuid7Ids(),
            schedule=Schedule((1, 2), (1, 2)),
            lease_seconds=LEASE_SECONDS,
            late_charge_ages_seconds=(60, 600),
            circuit_policy=CircuitPolicy(20, 5),
            authorization_seconds=604800,
        )
        (result,) = await run_operations(services, [OperationOrder(payment_id, 1)])
        await gateway.close()
        assert result.outcome == "succeeded"
        assert len(charges(gateway_url, payment_id)) == 1
    assert payment_row(database, payment_id)["captured_minor"] == 10050
    database.close()
