"""A locked row holds up its own payment alone, and two batches never make the same attempt."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest

from local.testkit.locks import PATIENCE_SECONDS, WaitingDatabase, held
from local.testkit.payments import attempt_rows, new_merchant, new_payment, outbox_rows, payment_row
from paybridge.core import isolation
from paybridge.core.errors import LockTimeout
from paybridge.core.events import PROCESS_PAYMENT
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import BATCH_LOCK_SECONDS_MAX, Database, Statement
from paybridge.payments import start_attempts as starting
from paybridge.payments.domain.gateway_answers import GatewayAnswer
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

# Of 21 payments, 11, 6, 3, 2 and 1 with the locked one are tried after all of them.
HALVINGS_MAX = 6
LOCK_PAYMENT = "SELECT 1 FROM payments WHERE id = :id::uuid FOR UPDATE"
LOCK_OPERATION = "SELECT 1 FROM operations WHERE id = :id::uuid FOR UPDATE"
LOCK_TABLE = "LOCK TABLE payments IN ACCESS EXCLUSIVE MODE"
_SHORTEN_LEASE = Statement("""
    UPDATE operations SET started_at = started_at - interval '1 hour' WHERE id = :id::uuid
""")


class LockingGateway(RecordingGateway):
    """Locks a row as soon as it is called, and holds it until `release`."""

    def __init__(self, address: DatabaseAddress, lock: str, payment_id: uuid.UUID) -> None:
        super().__init__()
        self._holding = ExitStack()
        self._lock = held(address, lock, id=payment_id)

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        if not self.calls:
            self._holding.enter_context(self._lock)
        return await super().send(request)

    def release(self) -> None:
        self._holding.close()


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[WaitingDatabase]:
    with closing(WaitingDatabase(database_address)) as database:
        yield database


@pytest.fixture
def services(database: WaitingDatabase) -> EngineServices:
    return engine_services(database, RecordingGateway())


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for the locked row of a batch however long the machine takes for the other rows."""
    monkeypatch.setattr(isolation, "LOCKS_SECONDS_MAX", PATIENCE_SECONDS)


@pytest.fixture
def payment_ids(database: Database) -> list[uuid.UUID]:
    merchant_id = new_merchant(database)
    return [new_payment(database, merchant_id) for _ in range(21)]


async def charge(services: EngineServices, payment_ids: Sequence[uuid.UUID], number: int = 1) -> dict[uuid.UUID, str]:
    results = await run_operations(services, [OperationOrder(id_, number) for id_ in payment_ids])
    return {result.payment_id: result.outcome for result in results}


def last_command(database: Database, payment_id: uuid.UUID) -> dict[str, Any]:
    return [row for row in outbox_rows(database, payment_id) if row["type"] == PROCESS_PAYMENT][-1]


class TestLockedRows:
    async def test_a_locked_payment_is_put_off_and_the_others_settle(
        self,
        services: EngineServices,
        database: WaitingDatabase,
        database_address: DatabaseAddress,
        payment_ids: list[uuid.UUID],
    ) -> None:
        locked = payment_ids[10]
        with held(database_address, LOCK_PAYMENT, id=locked):
            outcomes = await charge(services, payment_ids)
        assert database.waits == []
        assert outcomes.pop(locked) == "deferred"
        assert set(outcomes.values()) == {"succeeded"}
        assert len(outcomes) == 20
        command = last_command(services.database, locked)
        assert (command["routing_key"], command["published_at"]) == ("payments.new", None)
        assert '"attempt":1' in command["body"]
        assert await charge(services, [locked]) == {locked: "succeeded"}

    @pytest.mark.usefixtures("patience")
    async def test_a_locked_attempt_holds_up_its_payment_alone(
        self,
        services: EngineServices,
        database: WaitingDatabase,
        database_address: DatabaseAddress,
        payment_ids: list[uuid.UUID],
    ) -> None:
        locked = payment_ids[10]
        start_attempts(services, [OperationOrder(locked, 1)], GatewayWatch())
        services.database.run(_SHORTEN_LEASE, id=locked)
        with held(database_address, LOCK_OPERATION, id=locked):
            outcomes = await charge(services, payment_ids)
        assert set(database.waits) == {BATCH_LOCK_SECONDS_MAX}
        assert len(database.waits) <= HALVINGS_MAX
        assert outcomes.pop(locked) == "deferred"
        assert set(outcomes.values()) == {"succeeded"}
        assert await charge(services, [locked]) == {locked: "succeeded"}

    @pytest.mark.usefixtures("patience")
    @pytest.mark.parametrize("lock", [LOCK_PAYMENT, LOCK_OPERATION], ids=["payment", "attempt"])
    async def test_a_row_locked_while_the_gateway_answers_holds_up_its_payment_alone(
        self, database: WaitingDatabase, database_address: DatabaseAddress, payment_ids: list[uuid.UUID], lock: str
    ) -> None:
        locked = payment_ids[10]
        gateway = LockingGateway(database_address, lock, locked)
        services = engine_services(database, gateway)
        outcomes = await charge(services, payment_ids)
        gateway.release()
        assert set(database.waits) == {BATCH_LOCK_SECONDS_MAX}
        assert len(database.waits) <= HALVINGS_MAX
        assert outcomes.pop(locked) == "deferred"
        assert set(outcomes.values()) == {"succeeded"}
        assert '"attempt":2' in last_command(database, locked)["body"]
        database.run(_SHORTEN_LEASE, id=locked)
        assert await charge(services, [locked], number=2) == {locked: "succeeded"}
        assert gateway.calls.count(locked) == 1

    async def test_a_locked_merchant_holds_up_no_payment(
        self, services: EngineServices, database_address: DatabaseAddress, payment_ids: list[uuid.UUID]
    ) -> None:
        with held(database_address, "SELECT 1 FROM merchants FOR UPDATE"):
            assert set((await charge(services, payment_ids)).values()) == {"succeeded"}

    async def test_a_locked_table_is_about_no_payment(
        self, services: EngineServices, database_address: DatabaseAddress, payment_ids: list[uuid.UUID]
    ) -> None:
        with held(database_address, LOCK_TABLE):
            with pytest.raises(LockTimeout):
                await charge(services, payment_ids)
            with pytest.raises(LockTimeout):
                await charge(services, payment_ids[:1])
        assert [payment_row(services.database, id_)["status"] for id_ in payment_ids] == ["pending"] * 21
        assert set((await charge(services, payment_ids)).values()) == {"succeeded"}


class TestTwoBatches:
    """Two batches with the same payments; the first one is held between its lock and its start."""

    @pytest.fixture
    def second(self, services: EngineServices, database_address: DatabaseAddress) -> Iterator[EngineServices]:
        with closing(Database(database_address)) as own:
            yield replace(services, database=own)

    @pytest.mark.parametrize("status", ["pending", "processing"])
    async def test_each_payment_is_attempted_by_one_of_them(
        self,
        services: EngineServices,
        second: EngineServices,
        payment_ids: list[uuid.UUID],
        monkeypatch: pytest.MonkeyPatch,
        status: str,
    ) -> None:
        number = 1
        if status == "processing":
            # The process that made the first attempt is dead, and its lease over.
            start_attempts(services, [OperationOrder(id_, 1) for id_ in payment_ids], GatewayWatch())
            for id_ in payment_ids:
                services.database.run(_SHORTEN_LEASE, id=id_)
            number = 2
        locked, go_on = threading.Event(), threading.Event()
        begin = starting.attempts.begin

        def hold(*given: Any) -> None:
            if not locked.is_set():
                locked.set()
                assert go_on.wait(10)
            begin(*given)

        monkeypatch.setattr(starting.attempts, "begin", hold)
        first_batch = asyncio.create_task(charge(services, payment_ids, number))
        await asyncio.to_thread(locked.wait, 10)
        second_outcomes = await charge(second, list(reversed(payment_ids)), number)
        go_on.set()
        assert await first_batch == dict.fromkeys(payment_ids, "succeeded")
        assert second_outcomes == dict.fromkeys(payment_ids, "deferred")
        gateway = services.gateways["default"]
        assert isinstance(gateway, RecordingGateway)
        assert sorted(gateway.calls) == sorted(payment_ids)
        for id_ in payment_ids:
            assert [row["number"] for row in attempt_rows(services.database, id_)] == list(range(1, number + 1))
