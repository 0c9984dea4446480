"""Refunds, captures and cancellations through the engine: the gateway's own log agrees with what was accepted."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from local.testkit.locks import patient_database
from local.testkit.payments import (
    MovableClock,
    control_gateway,
    gateway_records,
    new_merchant,
    new_payment,
    operation_rows,
    payment_row,
    rows,
)
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.gateways import http
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed, KeyedOutcome
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder

pytestmark = pytest.mark.integration

THREADS = 50
# More rounds find what happens seldom; these take seconds.
ROUNDS = int(os.environ.get("PAYBRIDGE_TEST_REFUND_ROUNDS", "40")) // 2
RACING_CAPTURES = 20
# How long to wait for an answer that comes, however busy the machine is.
ANSWER_SECONDS_MAX = 10.0
# An answer that never comes is waited for in full, and before that the gateway has to receive the request.
SILENCE_SECONDS = 2.0

Outcome = KeyedOutcome | OrderRefusal | None

_COMMANDS = """
    SELECT json_build_object('id', id, 'data', body::json -> 'data') FROM outbox
    WHERE type = 'command.process_payment' AND merchant_id = :merchant_id::uuid ORDER BY id
"""


@dataclass
class MoneyWorld:
    """A merchant, the engine, and the commands that it has run."""

    services: EngineServices
    database: Database
    gateway_url: str
    clock: MovableClock
    merchant_id: uuid.UUID
    _run: set[str] = field(default_factory=set)

    async def pay(self, payment_method: str = "tok_success", **order: Any) -> uuid.UUID:
        """A payment of 100.00 EUR that was charged, or authorized."""
        values = {"amount_minor": 10_000, "currency": "EUR", "payment_method": payment_method, **order}
        payment_id = new_payment(self.database, self.merchant_id, **values)
        await run_operations(self.services, [OperationOrder(payment_id, 1)])
        return payment_id

    async def run_commands(self) -> int:
        """Run the commands that were not run yet, as one batch; return how many there were."""
        found = rows(self.database, _COMMANDS, merchant_id=self.merchant_id)
        fresh = [command for command in found if command["id"] not in self._run]
        self._run |= {command["id"] for command in fresh}
        await run_operations(self.services, [order_in(command["data"]) for command in fresh])
        return len(fresh)

    async def settle(self) -> None:
        """Run commands, each in its time, until there are no more."""
        while await self.run_commands():
            self.clock.move(3600)

    def refund(self, payment_id: uuid.UUID, amount: str | None, database: Database | None = None) -> Outcome:
        return create_refund(
            database or self.database,
            SystemClock(),
            Uuid7Ids(),
            keyed=self._keyed(refund_operation(payment_id)),
            payment_id=payment_id,
            order=RefundOrder(amount=amount),
            correlation_id="corr",
        )

    def capture(self, payment_id: uuid.UUID, amount: str | None, database: Database | None = None) -> Outcome:
        return capture_payment(
            database or self.database,
            SystemClock(),
            Uuid7Ids(),
            keyed=self._keyed(capture_operation(payment_id)),
            payment_id=payment_id,
            amount=amount,
            correlation_id="corr",
        )

    def cancel(self, payment_id: uuid.UUID, reason: str | None, database: Database | None = None) -> Outcome:
        return cancel_payment(
            database or self.database,
            SystemClock(),
            Uuid7Ids(),
            keyed=self._keyed(cancel_operation(payment_id)),
            payment_id=payment_id,
            reason=reason,
            correlation_id="corr",
        )

    def done(self, payment_id: uuid.UUID, *kinds: str) -> list[tuple[str, int]]:
        """What the gateway's own log says was done."""
        records = gateway_records(self.gateway_url, payment_id, *kinds)
        return [(record["kind"], record["amount_minor"]) for record in records]

    def amounts(self, payment_id: uuid.UUID) -> tuple[str, int, int, int]:
        row = payment_row(self.database, payment_id)
        return row["status"], row["captured_minor"], row["refunded_minor"], row["refunding_minor"]

    def _keyed(self, operation: str) -> Keyed:
        return Keyed(self.merchant_id, operation, IdempotentRequest(str(uuid.uuid4()), bytes(32)))


def order_in(data: dict[str, Any]) -> OperationOrder:
    return OperationOrder(uuid.UUID(data["payment_id"]), data["attempt"], data["ask"], uuid.UUID(data["operation_id"]))


@pytest.fixture
def timeout_seconds() -> float:
    """How long a call to the gateway may take."""
    return ANSWER_SECONDS_MAX


@pytest_asyncio.fixture
async def world(
    database: Database, gateway_url: str, timeout_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MoneyWorld]:
    monkeypatch.setattr(http, "LOOKUP_TIMEOUT", timedelta(seconds=ANSWER_SECONDS_MAX))
    clock = MovableClock()
    gateway = HttpGateway(gateway_url, timeout_seconds)
    control_gateway(gateway_url, down=False, latency_seconds_min=0, latency_seconds_max=0, success_rate=1.0)
    services = EngineServices(
        database=database,
        gateways={"default": gateway},
        clock=clock,
        ids=Uuid7Ids(),
        schedule=Schedule((1, 2), (1, 2)),
        lease_seconds=60.0,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
        authorization_seconds=604_800,
    )
    yield MoneyWorld(services, database, gateway_url, clock, new_merchant(database))
    await gateway.close()


@pytest.fixture(scope="module")
def connections(database_address: DatabaseAddress) -> Iterator[list[Database]]:
    """Connections of as many environments of the API."""
    found = [patient_database(database_address) for _ in range(THREADS)]
    yield found
    for connection in found:
        connection.close()


def at_once(connections: list[Database], ask: Any) -> list[Outcome]:
    """What `ask(number, connection)` answers to every connection, all asked at the same moment."""
    start = threading.Barrier(len(connections))

    def wait_and_ask(numbered: tuple[int, Database]) -> Outcome:
        start.wait()
        found: Outcome = ask(*numbered)
        return found

    with ThreadPoolExecutor(len(connections)) as pool:
        return list(pool.map(wait_and_ask, enumerate(connections)))


def accepted(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [orjson.loads(outcome.body) for outcome in outcomes if isinstance(outcome, Answered)]


@pytest.mark.timeout(900)
class TestAtOnce:
    async def test_of_fifty_refunds_of_most_of_the_money_the_gateway_makes_one(
        self, world: MoneyWorld, connections: list[Database]
    ) -> None:
        payments = [await world.pay() for _ in range(ROUNDS)]
        for payment_id in payments:
            outcomes = at_once(connections, lambda _, database, id_=payment_id: world.refund(id_, "60.00", database))
            assert len(accepted(outcomes)) == 1
        await world.settle()
        for payment_id in payments:
            assert world.done(payment_id) == [("charge", 10_000), ("refund", 6_000)]
            assert world.amounts(payment_id) == ("partially_refunded", 10_000, 6_000, 0)
        refused = world.refund(payments[0], "40.01")
        assert isinstance(refused, OrderRefusal)
        assert refused.members == {"refundable": "40.00"}
        world.refund(payments[0], None)
        await world.settle()
        assert world.done(payments[0], "refund") == [("refund", 6_000), ("refund", 4_000)]
        assert world.amounts(payments[0]) == ("refunded", 10_000, 10_000, 0)

    async def test_of_twenty_captures_and_cancellations_the_gateway_does_the_one_that_won(
        self, world: MoneyWorld, connections: list[Database]
    ) -> None:
        payments = [await world.pay(capture="manual") for _ in range(ROUNDS)]
        won = {}
        for payment_id in payments:

            def ask(number: int, database: Database, id_: uuid.UUID = payment_id) -> Outcome:
                return (world.capture if number % 2 else world.cancel)(id_, None, database)

            [view] = accepted(at_once(connections[:RACING_CAPTURES], ask))
            won[payment_id] = view["pending_operation"]["type"]
        await world.settle()
        for payment_id, type_ in won.items():
            expected = {"capture": ("succeeded", 10_000, 0, 0), "cancel": ("canceled", 0, 0, 0)}[type_]
            assert world.amounts(payment_id) == expected
            assert world.done(payment_id) == [
                ("authorization", 10_000),
                ("capture" if type_ == "capture" else "void", 10_000),
            ]


@pytest.mark.parametrize("timeout_seconds", [SILENCE_SECONDS])
class TestLostAnswers:
    """An operation that was done is found by looking it up. One that was not stays unknown and is asked for again."""

    @pytest.mark.parametrize(
        ("fault", "status", "left"),
        [
            ("lost_answer", "succeeded", ("partially_refunded", 6_000, 0)),
            ("lost_request", "unknown", ("succeeded", 0, 6_000)),
        ],
    )
    async def test_two_refunds_happen_once_each_and_stay_reserved_until_then(
        self, world: MoneyWorld, fault: str, status: str, left: tuple[str, int, int]
    ) -> None:
        payment_id = await world.pay()
        control_gateway(world.gateway_url, faults=[fault, fault])
        for _ in range(2):
            assert isinstance(world.refund(payment_id, "30.00"), Answered)
        await world.run_commands()
        assert [row["status"] for row in operation_rows(world.database, payment_id)[1:]] == [status] * 2
        state, refunded_minor, refunding_minor = left
        assert world.amounts(payment_id) == (state, 10_000, refunded_minor, refunding_minor)
        refused = world.refund(payment_id, "40.01")
        assert isinstance(refused, OrderRefusal)
        assert refused.members == {"refundable": "40.00"}
        await world.settle()
        assert world.done(payment_id, "refund") == [("refund", 3_000)] * 2
        assert world.amounts(payment_id) == ("partially_refunded", 10_000, 6_000, 0)

    @pytest.mark.parametrize("fault", ["lost_answer", "lost_request"])
    async def test_a_capture_happens_once(self, world: MoneyWorld, fault: str) -> None:
        payment_id = await world.pay(capture="manual")
        control_gateway(world.gateway_url, faults=[fault])
        world.capture(payment_id, "80.00")
        await world.run_commands()
        refused = world.cancel(payment_id, None)
        assert isinstance(refused, OrderRefusal)
        assert refused.code == ("operation_in_progress" if fault == "lost_request" else "payment_not_cancelable")
        await world.settle()
        assert world.done(payment_id) == [("authorization", 10_000), ("capture", 8_000)]
        assert world.amounts(payment_id) == ("succeeded", 8_000, 0, 0)


class TestOutcomes:
    async def test_a_declined_refund_frees_what_it_reserved(self, world: MoneyWorld) -> None:
        payment_id = await world.pay("tok_refund_declined")
        world.refund(payment_id, "60.00")
        await world.settle()
        assert world.amounts(payment_id) == ("succeeded", 10_000, 0, 0)
        assert world.done(payment_id, "refund") == []
        assert isinstance(world.refund(payment_id, "100.00"), Answered)

    async def test_no_more_is_refunded_than_was_captured(self, world: MoneyWorld) -> None:
        payment_id = await world.pay(capture="manual")
        world.capture(payment_id, "80.00")
        await world.settle()
        refused = world.refund(payment_id, "80.01")
        assert isinstance(refused, OrderRefusal)
        assert refused.members == {"refundable": "80.00"}
        world.refund(payment_id, None)
        await world.settle()
        assert world.amounts(payment_id) == ("refunded", 8_000, 8_000, 0)
        assert world.done(payment_id) == [("authorization", 10_000), ("capture", 8_000), ("refund", 8_000)]

    async def test_a_canceled_payment_says_why(self, world: MoneyWorld) -> None:
        payment_id = await world.pay(capture="manual")
        world.cancel(payment_id, "Out of stock")
        await world.settle()
        row = payment_row(world.database, payment_id)
        assert (row["status"], row["failure_code"], row["failure_message"]) == ("canceled", None, "Out of stock")
