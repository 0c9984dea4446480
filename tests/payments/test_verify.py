"""Payments that contradict their events or the gateway's record are named."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.testkit.payments import gateway_records, new_merchant, new_payment
from paybridge.core.clock import SystemClock
from paybridge.core.findings import Finding
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.payments import verify_amounts as amounts
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.verify_amounts import verify_amounts
from paybridge.payments.verify_gateway import CarriedOut, verify_gateway

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def charged(database: Database, gateway_url: str) -> AsyncIterator[list[uuid.UUID]]:
    """Two payments that the gateway has charged, and one that it has declined; no other is in the database."""
    for table in ("payments", "operations", "outbox"):
        database.run(Statement(f"DELETE FROM {table}"))  # noqa: S608
    gateway = HttpGateway(gateway_url, 5.0)
    services = EngineServices(
        database=database,
        gateways={"default": gateway},
        clock=SystemClock(),
        ids=Uuid7Ids(),
        schedule=Schedule((1, 2), (1, 2)),
        lease_seconds=5.0,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
        authorization_seconds=604800,
    )
    merchant_id = new_merchant(database)
    methods = ("tok_success", "tok_success", "tok_decline")
    ids = [new_payment(database, merchant_id, payment_method=method) for method in methods]
    await run_operations(services, [OperationOrder(id_, 1) for id_ in ids])
    yield ids
    await gateway.close()


def change(database: Database, table: str, changes: str, id_: uuid.UUID) -> None:
    database.run(Statement(f"UPDATE {table} SET {changes} WHERE id = :id::uuid"), id=id_)  # noqa: S608


class TestVerifyAmounts:
    def test_rows_and_events_agree(self, database: Database, charged: list[uuid.UUID]) -> None:
        assert verify_amounts(database, full=True) == Finding(True, len(charged))

    def test_an_event_that_cannot_be_read_hides_no_other_payment(
        self, database: Database, charged: list[uuid.UUID]
    ) -> None:
        change(database, "payments", "last_sequence = 9", charged[0])
        database.run(Statement("UPDATE outbox SET body = '[' WHERE payment_id = :id::uuid"), id=charged[1])
        detail = verify_amounts(database, full=True).detail
        assert f"payment {charged[0]}: its row is at event 9, the last event is 3" in detail
        assert f"payment {charged[1]}: its last event cannot be read" in detail

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            (
                "captured_minor = captured_minor - 1",
                "amount_captured is 100.49 in its row and 100.50 in its last event",
            ),
            (
                "refunded_minor = 5, status = 'partially_refunded'",
                "status is partially_refunded in its row and succeeded in its last event",
            ),
            ("last_sequence = 9", "its row is at event 9, the last event is 3"),
        ],
        ids=["captured", "status", "sequence"],
    )
    def test_names_the_payment_that_contradicts_its_event(
        self, database: Database, charged: list[uuid.UUID], changes: str, fault: str
    ) -> None:
        change(database, "payments", changes, charged[0])
        found = verify_amounts(database, full=True)
        assert (found.holds, found.detail) == (False, f"payment {charged[0]}: {fault}")

    def test_reads_every_page(
        self, database: Database, charged: list[uuid.UUID], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(amounts, "PAGE", 1)
        monkeypatch.setattr(amounts, "NEWEST", 1)
        # The oldest comes last.
        change(database, "payments", "last_sequence = 9", charged[0])
        assert verify_amounts(database, full=False) == Finding(True, 1)
        assert not verify_amounts(database, full=True).holds


class TestVerifyGateway:
    def record(self, gateway_url: str, payments: list[uuid.UUID]) -> list[CarriedOut]:
        records = [each for id_ in payments for each in gateway_records(gateway_url, id_, "charge")]
        return [
            CarriedOut(uuid.UUID(each["operation_id"]), each["kind"], each["amount_minor"])
            for each in records
            if each["status"] == "succeeded"
        ]

    def test_record_and_operations_agree(self, database: Database, gateway_url: str, charged: list[uuid.UUID]) -> None:
        found = verify_gateway(database, lambda: self.record(gateway_url, charged))
        assert found == Finding(True, 2)

    def test_names_what_was_charged_twice(self, database: Database, gateway_url: str, charged: list[uuid.UUID]) -> None:
        record = self.record(gateway_url, charged)
        found = verify_gateway(database, lambda: [*record, record[0]])
        assert (found.holds, found.detail) == (False, f"the gateway carried out charge {charged[0]} twice")

    def test_names_what_is_no_operation_of_ours(
        self, database: Database, gateway_url: str, charged: list[uuid.UUID]
    ) -> None:
        strange = uuid.uuid4()
        record = [*self.record(gateway_url, charged), CarriedOut(strange, "charge", 1)]
        found = verify_gateway(database, lambda: record)
        assert found.detail == f"the gateway has charge {strange}, which is no operation of ours"

    def test_names_what_the_gateway_has_not_done(
        self, database: Database, gateway_url: str, charged: list[uuid.UUID]
    ) -> None:
        record = self.record(gateway_url, charged)
        found = verify_gateway(database, lambda: record[1:])
        assert (found.holds, found.detail) == (False, f"charge {charged[0]} is not in the gateway's record")

    def test_names_another_amount(self, database: Database, gateway_url: str, charged: list[uuid.UUID]) -> None:
        record = self.record(gateway_url, charged)
        found = verify_gateway(database, lambda: [record[0]._replace(amount_minor=1), record[1]])
        assert found.detail == f"charge {charged[0]} is about 10050 here and 1 at the gateway"
