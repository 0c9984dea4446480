"""Charging a batch, against a real database and the simulated gateway in a process of its own."""

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from local.testkit.payments import (
    MovableClock,
    attempt_rows,
    charges,
    control_gateway,
    new_merchant,
    new_payment,
    outbox_rows,
    payment_row,
)
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.events import PROCESS_PAYMENT
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments import process
from paybridge.payments.begin_attempts import begin_attempts
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.process import process_payments
from paybridge.payments.processing import Begun, ChargeOrder, Processing

pytestmark = pytest.mark.integration

TIMEOUT_SECONDS = 0.5
LEASE_SECONDS = 5.0


@dataclass
class Bench:
    """What a test of processing works with."""

    processing: Processing
    database: Database
    gateway_url: str
    clock: MovableClock
    merchant_id: uuid.UUID

    def pay(self, payment_method: str | None, **order: object) -> uuid.UUID:
        return new_payment(self.database, self.merchant_id, payment_method=payment_method, **order)

    async def process(self, *payment_ids: uuid.UUID, number: int = 1) -> dict[uuid.UUID, str]:
        processed = await process_payments(self.processing, [ChargeOrder(id_, number) for id_ in payment_ids])
        return {one.payment_id: one.outcome for one in processed}

    def events(self, payment_id: uuid.UUID) -> list[str]:
        return [row["type"] for row in outbox_rows(self.database, payment_id)]


@pytest_asyncio.fixture
async def bench(database: Database, gateway_url: str) -> AsyncIterator[Bench]:
    clock = MovableClock()
    gateway = HttpGateway(gateway_url, TIMEOUT_SECONDS)
    control_gateway(gateway_url, down=False, latency_seconds_min=0, latency_seconds_max=0, success_rate=1.0)
    processing = Processing(
        database=database,
        gateway=gateway,
        clock=clock,
        ids=Uuid7Ids(),
        retry_delays_seconds=(1, 2),
        lease_seconds=LEASE_SECONDS,
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
    )
    yield Bench(processing, database, gateway_url, clock, new_merchant(database))
    await gateway.close()


class TestClearAnswers:
    async def test_a_charge_settles_the_payment_and_writes_its_event(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success")
        assert await bench.process(payment_id) == {payment_id: "succeeded"}
        payment = payment_row(bench.database, payment_id)
        assert (payment["status"], payment["captured_minor"], payment["last_sequence"]) == ("succeeded", 10050, 3)
        assert bench.events(payment_id) == ["payment.created", "payment.processing", "payment.succeeded"]
        assert [attempt["status"] for attempt in attempt_rows(bench.database, payment_id)] == ["succeeded"]
        assert [charge["amount_minor"] for charge in charges(bench.gateway_url, payment_id)] == [10050]

    @pytest.mark.parametrize(
        ("payment_method", "failure_code"),
        [
            ("tok_decline", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_fraud", "fraud_blocked"),
        ],
    )
    async def test_a_decline_is_final_at_once(self, bench: Bench, payment_method: str, failure_code: str) -> None:
        payment_id = bench.pay(payment_method)
        await bench.process(payment_id)
        payment = payment_row(bench.database, payment_id)
        assert (payment["status"], payment["failure_code"], payment["captured_minor"]) == ("failed", failure_code, 0)
        assert bench.events(payment_id)[-1] == "payment.failed"
        assert charges(bench.gateway_url, payment_id) == []

    async def test_each_payment_of_a_batch_goes_its_own_way(self, bench: Bench) -> None:
        good, bad, odd = bench.pay("tok_success"), bench.pay("tok_decline"), bench.pay("tok_error")
        outcomes = await bench.process(good, bad, odd)
        assert outcomes == {good: "succeeded", bad: "failed", odd: "unknown"}

    async def test_the_event_tells_the_payment_as_it_became(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success", metadata={"order_id": "123"})
        await bench.process(payment_id)
        event = outbox_rows(bench.database, payment_id)[-1]
        assert '"status":"succeeded"' in event["body"]
        assert '"amount_captured":"100.50"' in event["body"]
        assert '"metadata":{"order_id":"123"}' in event["body"]
        assert (event["exchange"], event["routing_key"]) == ("payments.events", "payment.succeeded")


class TestParts:
    """A batch begins part by part, here of two payments each."""

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "PART_ORDERS", 2)

    async def test_all_parts_are_charged(self, bench: Bench) -> None:
        payment_ids = [bench.pay("tok_success") for _ in range(5)]
        assert await bench.process(*payment_ids) == dict.fromkeys(payment_ids, "succeeded")

    async def test_when_one_cannot_begin_those_before_it_are_brought_to_their_end(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second, third, fourth = (bench.pay("tok_success") for _ in range(4))

        def begin(processing: Processing, orders: Sequence[ChargeOrder]) -> Begun:
            if orders[0].payment_id == third:
                raise DatabaseUnavailable("away for a moment")
            return begin_attempts(processing, orders)

        monkeypatch.setattr(process, "begin_attempts", begin)
        with pytest.raises(DatabaseUnavailable, match="for a moment"):
            await bench.process(first, second, third, fourth)
        statuses = [payment_row(bench.database, id_)["status"] for id_ in (first, second, third, fourth)]
        assert statuses == ["succeeded", "succeeded", "pending", "pending"]

    async def test_a_payment_in_two_of_them_is_charged_once(self, bench: Bench) -> None:
        first, second = bench.pay("tok_success"), bench.pay("tok_success")
        outcomes = await bench.process(first, second, first, second)
        assert outcomes == {first: "succeeded", second: "succeeded"}
        assert [len(attempt_rows(bench.database, id_)) for id_ in (first, second)] == [1, 1]


class TestRepeatedMessages:
    async def test_a_second_delivery_changes_nothing(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success")
        await bench.process(payment_id)
        before = payment_row(bench.database, payment_id)
        assert await bench.process(payment_id) == {}
        assert payment_row(bench.database, payment_id) == before
        assert len(charges(bench.gateway_url, payment_id)) == 1

    async def test_the_same_payment_twice_in_a_batch_is_charged_once(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success")
        assert await bench.process(payment_id, payment_id) == {payment_id: "succeeded"}
        assert len(attempt_rows(bench.database, payment_id)) == 1

    async def test_a_payment_that_does_not_exist_is_reported_and_passed_over(self, bench: Bench) -> None:
        nobody, somebody = uuid.uuid4(), bench.pay("tok_success")
        assert await bench.process(nobody, somebody) == {nobody: "missing", somebody: "succeeded"}

    async def test_a_first_message_again_does_not_run_ahead_of_the_retry(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_error")
        await bench.process(payment_id)
        assert await bench.process(payment_id) == {}
        assert len(attempt_rows(bench.database, payment_id)) == 1


class TestUnknownOutcomes:
    async def test_a_lost_answer_is_found_by_our_reference(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_timeout_charged")
        assert await bench.process(payment_id) == {payment_id: "succeeded"}
        assert len(charges(bench.gateway_url, payment_id)) == 1

    async def test_no_answer_is_tried_again_through_the_outbox(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_timeout")
        assert await bench.process(payment_id) == {payment_id: "unknown"}
        command = outbox_rows(bench.database, payment_id)[-1]
        assert (command["type"], command["sequence"]) == (PROCESS_PAYMENT, None)
        assert command["available_at"] > command["created_at"]
        assert payment_row(bench.database, payment_id)["status"] == "processing"

    async def test_after_the_last_try_the_payment_fails_with_gateway_timeout(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_timeout")
        outcomes = [(await bench.process(payment_id, number=number))[payment_id] for number in (1, 2, 3)]
        assert outcomes == ["unknown", "unknown", "failed"]
        assert payment_row(bench.database, payment_id)["failure_code"] == "gateway_timeout"
        assert [attempt["status"] for attempt in attempt_rows(bench.database, payment_id)] == ["unknown"] * 3
        assert await bench.process(payment_id, number=4) == {}

    async def test_a_gateway_that_recovers_charges_on_a_later_try(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_flaky")
        outcomes = [(await bench.process(payment_id, number=number))[payment_id] for number in (1, 2, 3)]
        assert outcomes == ["unknown", "unknown", "succeeded"]
        assert len(charges(bench.gateway_url, payment_id)) == 1

    async def test_a_slow_payment_does_not_hold_back_the_quick_ones(self, bench: Bench) -> None:
        slow, quick = bench.pay("tok_timeout"), bench.pay("tok_success")
        await bench.process(slow, quick)
        quick_end = attempt_rows(bench.database, quick)[0]["finished_at"]
        assert quick_end < attempt_rows(bench.database, slow)[0]["finished_at"]


class TestInterruptedAttempts:
    async def test_a_running_attempt_is_left_to_its_owner(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success")
        begin_attempts(bench.processing, [ChargeOrder(payment_id, 1)])
        assert await bench.process(payment_id) == {payment_id: "deferred"}
        assert outbox_rows(bench.database, payment_id)[-1]["type"] == PROCESS_PAYMENT
        assert charges(bench.gateway_url, payment_id) == []

    async def test_a_dead_owners_attempt_is_taken_over_when_its_lease_ends(self, bench: Bench) -> None:
        payment_id = bench.pay("tok_success")
        begin_attempts(bench.processing, [ChargeOrder(payment_id, 1)])
        bench.clock.move(LEASE_SECONDS + 1)
        assert await bench.process(payment_id) == {payment_id: "succeeded"}
        attempts = attempt_rows(bench.database, payment_id)
        assert [(one["status"], one["error"]) for one in attempts] == [("unknown", "interrupted"), ("succeeded", None)]


class TestCircuitBreaker:
    async def test_a_dead_gateway_is_left_alone_and_tried_again_later(self, bench: Bench) -> None:
        processing = replace(bench.processing, circuit_policy=CircuitPolicy(failure_threshold=3, cooldown_seconds=30))
        bench.processing = processing
        control_gateway(bench.gateway_url, down=True)
        first = [bench.pay("tok_success") for _ in range(3)]
        assert set((await bench.process(*first)).values()) == {"unknown"}

        held = [bench.pay("tok_success") for _ in range(5)]
        assert set((await bench.process(*held)).values()) == {"deferred"}
        assert attempt_rows(bench.database, held[0]) == []
        assert payment_row(bench.database, held[0])["status"] == "pending"

        control_gateway(bench.gateway_url, down=False)
        bench.clock.move(31)
        probed = await bench.process(*held)
        assert sorted(probed.values()) == ["deferred", "deferred", "succeeded", "succeeded", "succeeded"]
        rest = [id_ for id_, outcome in probed.items() if outcome == "deferred"]
        assert set((await bench.process(*rest)).values()) == {"succeeded"}


class TestThroughput:
    async def test_a_batch_takes_as_long_as_its_slowest_call(self, bench: Bench) -> None:
        control_gateway(bench.gateway_url, latency_seconds_min=0.3, latency_seconds_max=0.3)
        payments = [bench.pay(None) for _ in range(50)]
        started = time.monotonic()
        outcomes = await bench.process(*payments)
        assert set(outcomes.values()) == {"succeeded"}
        assert time.monotonic() - started < 50 * 0.3 / 2
