"""Authorizations that were not captured in time are released, once, and never against a capture."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import orjson
import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.locks import held, patient_database
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row, rows
from paybridge.core.events import PROCESS_PAYMENT, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.gateway_answers import Declined, GatewayAnswer, LookUpAnswer, NotFound, Succeeded
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.refusal import OrderRefusal
from paybridge.payments.expire_authorizations import DECLINED_WAIT, expire_authorizations
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices
from paybridge.payments.run_operations import run_operations
from paybridge.runners.consumer import order_of
from tests.support.scripted_gateway import engine_services

pytestmark = pytest.mark.integration

THREADS = 20


class HoldingGateway:
    """Does what it is asked for, and can find it again."""

    def __init__(self) -> None:
        self.done: dict[uuid.UUID, Kind] = {}
        self.void_answer: GatewayAnswer | None = None

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        if request.kind is Kind.VOID and self.void_answer is not None:
            return self.void_answer
        self.done[request.operation_id] = request.kind
        return Succeeded(f"{request.kind}_{request.operation_id}")

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        is_done = request.operation_id in self.done
        return Succeeded(f"{request.kind}_{request.operation_id}") if is_done else NotFound()

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def gateway() -> HoldingGateway:
    return HoldingGateway()


@pytest.fixture
def services(database_address: DatabaseAddress, gateway: HoldingGateway) -> Iterator[EngineServices]:
    with closing(Database(database_address)) as database:
        yield engine_services(database, gateway, MovableClock())


async def run(services: EngineServices, messages: list[dict[str, Any]]) -> None:
    await run_operations(services, [order_of(parse_envelope(orjson.loads(row["body"]))) for row in messages])


async def authorized(services: EngineServices) -> uuid.UUID:
    payment_id = new_payment(services.database, new_merchant(services.database), capture="manual")
    await run(services, outbox_rows(services.database, payment_id))
    assert payment_row(services.database, payment_id)["status"] == "requires_capture"
    return payment_id


def let_it_expire(services: EngineServices) -> None:
    assert isinstance(services.clock, MovableClock)
    services.clock.move(services.authorization_seconds + 1)


def expire(services: EngineServices, database: Database | None = None) -> set[uuid.UUID]:
    released = expire_authorizations(database or services.database, services.clock, Uuid7Ids())
    return {each.payment_id for each in released}


def voids(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    sql = "SELECT to_json(o) FROM operations o WHERE payment_id = :id::uuid AND kind = 'void'"
    return rows(services.database, sql, id=payment_id)


def commands(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return [row for row in outbox_rows(services.database, payment_id) if row["type"] == PROCESS_PAYMENT]


class TestExpireAuthorizations:
    async def test_it_is_canceled_once_the_gateway_has_released_it(
        self, services: EngineServices, gateway: HoldingGateway
    ) -> None:
        payment_id = await authorized(services)
        assert payment_id not in expire(services)
        let_it_expire(services)
        assert payment_id in expire(services)
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["pending_operation"]) == ("requires_capture", "cancel")
        await run(services, commands(services, payment_id))
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["failure_code"], row["pending_operation"]) == (
            "canceled",
            "authorization_expired",
            None,
        )
        event = outbox_rows(services.database, payment_id)[-1]
        data = orjson.loads(event["body"])["data"]
        assert (event["type"], data["status"], data["failure_code"]) == (
            "payment.canceled",
            "canceled",
            "authorization_expired",
        )
        assert list(gateway.done.values()).count(Kind.VOID) == 1

    async def test_a_second_job_does_nothing(self, services: EngineServices) -> None:
        payment_id = await authorized(services)
        let_it_expire(services)
        assert payment_id in expire(services)
        assert payment_id not in expire(services)
        assert (len(voids(services, payment_id)), len(commands(services, payment_id))) == (1, 1)

    async def test_one_that_the_gateway_does_not_release_stays_and_is_told(
        self, services: EngineServices, gateway: HoldingGateway
    ) -> None:
        payment_id = await authorized(services)
        let_it_expire(services)
        expire(services)
        gateway.void_answer = Declined("gateway_rejected", "No.")
        (message,) = commands(services, payment_id)
        (result,) = await run_operations(services, [order_of(parse_envelope(orjson.loads(message["body"])))])
        assert result.error is not None
        assert payment_row(services.database, payment_id)["status"] == "requires_capture"

    async def test_one_that_the_gateway_does_not_release_is_tried_again_a_day_later(
        self, services: EngineServices, gateway: HoldingGateway
    ) -> None:
        payment_id = await authorized(services)
        let_it_expire(services)
        expire(services)
        gateway.void_answer = Declined("gateway_rejected", "No.")
        await run(services, commands(services, payment_id))
        assert payment_id not in expire(services)
        assert isinstance(services.clock, MovableClock)
        services.clock.move(DECLINED_WAIT.total_seconds())
        assert payment_id in expire(services)
        gateway.void_answer = None
        await run(services, commands(services, payment_id))
        assert payment_row(services.database, payment_id)["status"] == "canceled"
        assert sorted(each["status"] for each in voids(services, payment_id)) == ["declined", "succeeded"]

    async def test_a_payment_that_another_transaction_holds_is_left_to_the_next_job(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await authorized(services)
        let_it_expire(services)
        with held(database_address, "SELECT FROM payments WHERE id = :id::uuid FOR UPDATE", id=payment_id):
            assert payment_id not in expire(services)
        assert payment_id in expire(services)

    async def test_a_process_that_dies_leaves_all_of_it_or_nothing(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await authorized(services)
        expire(services)
        let_it_expire(services)

        def act(database: Database) -> None:
            expire(services, database)

        def look() -> tuple[Any, ...]:
            row = payment_row(services.database, payment_id)
            return row["pending_operation"], len(voids(services, payment_id)), len(commands(services, payment_id))

        assert die_at_every_step(database_address, act, look) >= 3
        assert look() == ("cancel", 1, 1)

    @pytest.mark.parametrize("round_", range(5))
    async def test_of_many_jobs_at_once_one_gets_it(
        self, services: EngineServices, database_address: DatabaseAddress, gateway: HoldingGateway, round_: int
    ) -> None:
        payment_id = await authorized(services)
        let_it_expire(services)
        barrier = threading.Barrier(THREADS)

        def job() -> bool:
            with closing(Database(database_address)) as database:
                barrier.wait()
                return payment_id in expire(services, database)

        with ThreadPoolExecutor(THREADS) as threads:
            got = [future.result() for future in [threads.submit(job) for _ in range(THREADS)]]
        assert got.count(True) == 1
        await run(services, commands(services, payment_id) * 2)
        assert len(voids(services, payment_id)) == 1
        assert list(gateway.done.values()).count(Kind.VOID) == 1


class TestCaptureRacesExpiry:
    @pytest.mark.parametrize("round_", range(10))
    async def test_exactly_one_gets_the_payment_and_the_gateway_agrees(
        self, services: EngineServices, database_address: DatabaseAddress, gateway: HoldingGateway, round_: int
    ) -> None:
        payment_id = await authorized(services)
        merchant_id = uuid.UUID(payment_row(services.database, payment_id)["merchant_id"])
        early, late = MovableClock(), MovableClock()
        late.move(services.authorization_seconds + 1)
        barrier = threading.Barrier(THREADS)

        def capture(number: int) -> bool:
            request = IdempotentRequest(f"capture-{number}-{payment_id}", bytes(32))
            keyed = Keyed(merchant_id, capture_operation(payment_id), request)
            with closing(patient_database(database_address)) as database:
                barrier.wait()
                outcome = capture_payment(
                    database, early, Uuid7Ids(), keyed=keyed, payment_id=payment_id, amount=None, correlation_id="c"
                )
            return isinstance(outcome, Answered)

        def release(_: int) -> bool:
            with closing(patient_database(database_address)) as database:
                barrier.wait()
                return payment_id in {each.payment_id for each in expire_authorizations(database, late, Uuid7Ids())}

        acts = [capture if number % 2 == round_ % 2 else release for number in range(THREADS)]
        with ThreadPoolExecutor(THREADS) as threads:
            won = [future.result() for future in [threads.submit(act, n) for n, act in enumerate(acts)]]
        assert won.count(True) == 1
        has_captured = acts[won.index(True)] is capture
        await run(services, commands(services, payment_id) * 2)
        row = payment_row(services.database, payment_id)
        assert row["status"] == ("succeeded" if has_captured else "canceled")
        done = [kind for kind in gateway.done.values() if kind is not Kind.AUTHORIZATION]
        assert done == [Kind.CAPTURE if has_captured else Kind.VOID]

    async def test_a_capture_after_the_time_is_refused_before_the_job_comes(self, services: EngineServices) -> None:
        payment_id = await authorized(services)
        merchant_id = uuid.UUID(payment_row(services.database, payment_id)["merchant_id"])
        let_it_expire(services)
        keyed = Keyed(merchant_id, capture_operation(payment_id), IdempotentRequest(f"late-{payment_id}", bytes(32)))
        outcome = capture_payment(
            services.database,
            services.clock,
            services.ids,
            keyed=keyed,
            payment_id=payment_id,
            amount=None,
            correlation_id="c",
        )
        assert isinstance(outcome, OrderRefusal)
        assert outcome.code == "payment_not_capturable"
        assert payment_id in expire(services)
