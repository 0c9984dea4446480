"""Operations of a batch, mostly charges, against a real database and the simulated gateway in a separate process."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise, permutations
from typing import Any

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
from paybridge.core.events import PROCESS_PAYMENT, Event
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement, Transaction
from paybridge.outbox import store as outbox
from paybridge.payments import run_operations as running
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import GatewayAnswer, LookUpAnswer, NotFound, RateLimited, Succeeded
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.gateways import http
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredAttempt, BatchStart, EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts

pytestmark = pytest.mark.integration

# How long to wait for an answer that comes, however busy the machine is.
ANSWER_SECONDS_MAX = 10.0
LEASE_SECONDS = 60.0
# A charge is decided when the test moves the gateway's clock, and never before.
PENDING_SECONDS = 3600.0
# An answer that never comes is waited for in full.
SILENT = pytest.mark.parametrize("timeout_seconds", [0.5])
# So is that of a gateway which first has to receive the request and act on it.
SILENT_AFTER_THE_DEED = pytest.mark.parametrize("timeout_seconds", [2.0])


@dataclass
class ChargeWorld:
    """The services to charge with, and what a test looks at."""

    services: EngineServices
    database: Database
    gateway_url: str
    clock: MovableClock
    merchant_id: uuid.UUID

    def pay(self, payment_method: str | None, **order: object) -> uuid.UUID:
        return new_payment(self.database, self.merchant_id, payment_method=payment_method, **order)

    async def charge(self, *payment_ids: uuid.UUID, number: int = 1, ask: int = 0) -> dict[uuid.UUID, str]:
        results = await run_operations(self.services, [OperationOrder(id_, number, ask) for id_ in payment_ids])
        return {result.payment_id: result.outcome for result in results}

    async def watch(self, *payment_ids: uuid.UUID) -> GatewayWatch:
        watch = GatewayWatch()
        await run_operations(self.services, [OperationOrder(id_, 1) for id_ in payment_ids], watch)
        return watch

    def events(self, payment_id: uuid.UUID) -> list[str]:
        return [row["type"] for row in outbox_rows(self.database, payment_id)]


@pytest.fixture
def timeout_seconds() -> float:
    """How long a call to the gateway may take."""
    return ANSWER_SECONDS_MAX


@pytest_asyncio.fixture
async def world(
    database: Database, gateway_url: str, timeout_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ChargeWorld]:
    monkeypatch.setattr(http, "LOOKUP_TIMEOUT", timedelta(seconds=ANSWER_SECONDS_MAX))
    clock = MovableClock()
    gateway = HttpGateway(gateway_url, timeout_seconds)
    database.run(Statement("DELETE FROM circuits"))
    control_gateway(
        gateway_url, down=False, latency_seconds_min=0, latency_seconds_max=0, success_rate=1.0, ahead_seconds=0
    )
    services = EngineServices(
        database=database,
        gateways={"default": gateway},
        clock=clock,
        ids=Uuid7Ids(),
        schedule=Schedule((1, 2), (1, 2)),
        lease_seconds=LEASE_SECONDS,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(failure_threshold=1000, cooldown_seconds=5),
        authorization_seconds=604800,
    )
    yield ChargeWorld(services, database, gateway_url, clock, new_merchant(database))
    await gateway.close()


def open_circuits(world: ChargeWorld) -> set[str]:
    rows = world.database.run(Statement("SELECT name FROM circuits WHERE open_until IS NOT NULL"))
    return {("gateway", "merchant", "method")[name.count("/")] for (name,) in rows}


class TestClearAnswers:
    async def test_a_charge_settles_the_payment_and_writes_its_event(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success")
        assert await world.charge(payment_id) == {payment_id: "succeeded"}
        payment = payment_row(world.database, payment_id)
        assert (payment["status"], payment["captured_minor"], payment["last_sequence"]) == ("succeeded", 10050, 3)
        assert world.events(payment_id) == ["payment.created", "payment.processing", "payment.succeeded"]
        assert [attempt["status"] for attempt in attempt_rows(world.database, payment_id)] == ["succeeded"]
        assert [charge["amount_minor"] for charge in charges(world.gateway_url, payment_id)] == [10050]

    @pytest.mark.parametrize(
        ("payment_method", "failure_code"),
        [
            ("tok_decline", "card_declined"),
            ("tok_insufficient_funds", "insufficient_funds"),
            ("tok_fraud", "fraud_blocked"),
        ],
    )
    async def test_a_decline_is_final_at_once(self, world: ChargeWorld, payment_method: str, failure_code: str) -> None:
        payment_id = world.pay(payment_method)
        await world.charge(payment_id)
        payment = payment_row(world.database, payment_id)
        assert (payment["status"], payment["failure_code"], payment["captured_minor"]) == ("failed", failure_code, 0)
        assert world.events(payment_id)[-1] == "payment.failed"
        assert charges(world.gateway_url, payment_id) == []

    async def test_a_part_fails_the_payment(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_partial")
        assert await world.charge(payment_id) == {payment_id: "failed"}
        payment = payment_row(world.database, payment_id)
        assert (payment["failure_code"], payment["captured_minor"]) == ("partial_approval", 0)
        assert [charge["amount_minor"] for charge in charges(world.gateway_url, payment_id)] == [8040]

    async def test_a_pending_charge_succeeds_once_the_gateway_says_so(self, world: ChargeWorld) -> None:
        control_gateway(world.gateway_url, pending_seconds=PENDING_SECONDS)
        payment_id = world.pay("tok_pending")
        assert await world.charge(payment_id) == {payment_id: "pending"}
        assert await world.charge(payment_id, ask=1) == {payment_id: "pending"}
        control_gateway(world.gateway_url, ahead_seconds=PENDING_SECONDS)
        assert await world.charge(payment_id, ask=2) == {payment_id: "succeeded"}
        assert len(charges(world.gateway_url, payment_id)) == 1

    async def test_payments_of_one_batch_may_end_differently(self, world: ChargeWorld) -> None:
        good, bad, odd = world.pay("tok_success"), world.pay("tok_decline"), world.pay("tok_error")
        outcomes = await world.charge(good, bad, odd)
        assert outcomes == {good: "succeeded", bad: "failed", odd: "unknown"}

    async def test_the_event_shows_the_settled_payment(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success", metadata={"order_id": "123"})
        await world.charge(payment_id)
        event = outbox_rows(world.database, payment_id)[-1]
        assert '"status":"succeeded"' in event["body"]
        assert '"amount_captured":"100.50"' in event["body"]
        assert '"metadata":{"order_id":"123"}' in event["body"]
        assert (event["exchange"], event["routing_key"]) == ("payments.events", "payment.succeeded")


class TestParts:
    """A batch starts in parts, here of two payments each."""

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(running, "PART_ORDERS", 2)

    async def test_all_parts_are_charged(self, world: ChargeWorld) -> None:
        payment_ids = [world.pay("tok_success") for _ in range(5)]
        assert await world.charge(*payment_ids) == dict.fromkeys(payment_ids, "succeeded")

    async def test_when_one_cannot_start_those_before_it_are_recorded(
        self, world: ChargeWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second, third, fourth = (world.pay("tok_success") for _ in range(4))

        def fail_on_third(
            services: EngineServices, orders: Sequence[OperationOrder], watch: GatewayWatch
        ) -> BatchStart:
            if orders[0].payment_id == third:
                raise DatabaseUnavailable("down for a moment")
            return start_attempts(services, orders, watch)

        monkeypatch.setattr(running, "start_attempts", fail_on_third)
        with pytest.raises(DatabaseUnavailable, match="for a moment"):
            await world.charge(first, second, third, fourth)
        statuses = [payment_row(world.database, id_)["status"] for id_ in (first, second, third, fourth)]
        assert statuses == ["succeeded", "succeeded", "pending", "pending"]

    async def test_a_payment_in_two_of_them_is_charged_once(self, world: ChargeWorld) -> None:
        first, second = world.pay("tok_success"), world.pay("tok_success")
        outcomes = await world.charge(first, second, first, second)
        assert outcomes == {first: "succeeded", second: "succeeded"}
        assert [len(attempt_rows(world.database, id_)) for id_ in (first, second)] == [1, 1]


class TestRepeatedMessages:
    async def test_a_redelivery_changes_nothing(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success")
        await world.charge(payment_id)
        before = payment_row(world.database, payment_id)
        assert await world.charge(payment_id) == {}
        assert payment_row(world.database, payment_id) == before
        assert len(charges(world.gateway_url, payment_id)) == 1

    async def test_the_same_payment_twice_in_a_batch_is_charged_once(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success")
        assert await world.charge(payment_id, payment_id) == {payment_id: "succeeded"}
        assert len(attempt_rows(world.database, payment_id)) == 1

    def test_of_all_messages_about_a_payment_the_latest_counts(self) -> None:
        payment_id = uuid.uuid4()
        orders = [OperationOrder(payment_id, 1, 3), OperationOrder(payment_id, 2), OperationOrder(payment_id, 2, 1)]
        for order in permutations(orders):
            assert running._parts(order) == [[OperationOrder(payment_id, 2, 1)]]

    async def test_a_payment_that_does_not_exist_is_reported_and_the_rest_charged(self, world: ChargeWorld) -> None:
        missing, known = uuid.uuid4(), world.pay("tok_success")
        assert await world.charge(missing, known) == {missing: "missing", known: "succeeded"}

    async def test_a_redelivered_first_message_does_not_overtake_the_retry(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_error")
        await world.charge(payment_id)
        assert await world.charge(payment_id) == {}
        assert len(attempt_rows(world.database, payment_id)) == 1


class TestUnknownOutcomes:
    @SILENT_AFTER_THE_DEED
    async def test_a_lost_answer_is_found_by_our_reference(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_timeout_charged")
        assert await world.charge(payment_id) == {payment_id: "succeeded"}
        assert len(charges(world.gateway_url, payment_id)) == 1

    @SILENT
    async def test_a_charge_without_an_answer_is_retried_through_the_outbox(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_timeout")
        assert await world.charge(payment_id) == {payment_id: "unknown"}
        command = outbox_rows(world.database, payment_id)[-1]
        assert (command["type"], command["sequence"]) == (PROCESS_PAYMENT, None)
        assert command["available_at"] > command["created_at"]
        assert payment_row(world.database, payment_id)["status"] == "processing"

    @SILENT
    async def test_after_the_last_try_the_payment_fails_with_gateway_timeout(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_timeout")
        outcomes = [(await world.charge(payment_id, number=number))[payment_id] for number in (1, 2, 3)]
        assert outcomes == ["unknown", "unknown", "failed"]
        assert payment_row(world.database, payment_id)["failure_code"] == "gateway_timeout"
        assert [attempt["status"] for attempt in attempt_rows(world.database, payment_id)] == ["unknown"] * 3
        assert await world.charge(payment_id, number=4) == {}

    async def test_a_gateway_that_recovers_charges_on_a_later_try(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_flaky")
        outcomes = [(await world.charge(payment_id, number=number))[payment_id] for number in (1, 2, 3)]
        assert outcomes == ["unknown", "unknown", "succeeded"]
        assert len(charges(world.gateway_url, payment_id)) == 1

    @SILENT_AFTER_THE_DEED
    async def test_a_slow_payment_does_not_hold_back_the_quick_ones(self, world: ChargeWorld) -> None:
        slow, quick = world.pay("tok_timeout"), world.pay("tok_success")
        await world.charge(slow, quick)
        quick_end = attempt_rows(world.database, quick)[0]["finished_at"]
        assert quick_end < attempt_rows(world.database, slow)[0]["finished_at"]


class TestInterruptedAttempts:
    async def test_a_running_attempt_is_left_to_its_process(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success")
        start_attempts(world.services, [OperationOrder(payment_id, 1)], GatewayWatch())
        assert await world.charge(payment_id) == {payment_id: "deferred"}
        assert outbox_rows(world.database, payment_id)[-1]["type"] == PROCESS_PAYMENT
        assert charges(world.gateway_url, payment_id) == []

    async def test_the_attempt_of_a_dead_process_is_taken_over_when_its_lease_ends(self, world: ChargeWorld) -> None:
        payment_id = world.pay("tok_success")
        start_attempts(world.services, [OperationOrder(payment_id, 1)], GatewayWatch())
        world.clock.move(LEASE_SECONDS + 1)
        assert await world.charge(payment_id) == {payment_id: "succeeded"}
        attempts = attempt_rows(world.database, payment_id)
        assert [(attempt["status"], attempt["error"]) for attempt in attempts] == [
            ("unknown", "interrupted"),
            ("succeeded", None),
        ]


class TestCircuitBreaker:
    @pytest.fixture(autouse=True)
    def strict_policy(self, world: ChargeWorld) -> None:
        world.services = replace(world.services, circuit_policy=CircuitPolicy(3, cooldown_seconds=30))

    async def test_calls_to_a_dead_gateway_pause_and_resume_with_probes(self, world: ChargeWorld) -> None:
        control_gateway(world.gateway_url, down=True)
        first = [world.pay("tok_success") for _ in range(3)]
        assert set((await world.charge(*first)).values()) == {"unknown"}

        held = [world.pay("tok_success") for _ in range(5)]
        assert set((await world.charge(*held)).values()) == {"deferred"}
        assert attempt_rows(world.database, held[0]) == []
        assert payment_row(world.database, held[0])["status"] == "pending"

        control_gateway(world.gateway_url, down=False)
        world.clock.move(31)
        probed = await world.charge(*held)
        assert sorted(probed.values()) == ["deferred", "deferred", "succeeded", "succeeded", "succeeded"]
        assert probed[held[0]] == probed[held[1]] == "deferred", "the newest are the probes"
        rest = [id_ for id_, outcome in probed.items() if outcome == "deferred"]
        assert set((await world.charge(*rest)).values()) == {"succeeded"}

    async def test_a_success_closes_the_circuit(self, world: ChargeWorld) -> None:
        control_gateway(world.gateway_url, down=True)
        watch = await world.watch(*(world.pay("tok_success") for _ in range(3)))
        assert {change.is_open for change in watch.changes} == {True}
        assert open_circuits(world) == {"gateway", "method"}

        control_gateway(world.gateway_url, down=False)
        world.clock.move(31)
        watch = await world.watch(world.pay("tok_success"))
        assert {change.is_open for change in watch.changes} == {False}
        assert open_circuits(world) == set()
        assert world.database.run(Statement("SELECT sum(consecutive_failures) FROM circuits"))[0][0] == 0

    async def test_a_decline_closes_the_circuit(self, world: ChargeWorld) -> None:
        await world.charge(*(world.pay("tok_error") for _ in range(3)))
        assert "gateway" in open_circuits(world)
        await world.charge(world.pay("tok_decline"))
        assert "gateway" not in open_circuits(world)

    async def test_a_defect_of_ours_opens_no_circuit(self, world: ChargeWorld) -> None:
        world.services = replace(world.services, gateways={"default": BreakingGateway()})
        payments = [world.pay("tok_success") for _ in range(4)]
        assert (await world.watch(*payments)).changes == []
        assert {attempt_rows(world.database, id_)[0]["status"] for id_ in payments} == {"unknown"}
        assert open_circuits(world) == set()

    async def test_failed_probes_hold_calls_back_for_another_cooldown(self, world: ChargeWorld) -> None:
        control_gateway(world.gateway_url, down=True)
        await world.charge(*(world.pay("tok_success") for _ in range(3)))
        for _ in range(3):
            world.clock.move(31)
            probes = [world.pay("tok_success") for _ in range(4)]
            assert sorted((await world.charge(*probes)).values()) == ["deferred", "unknown", "unknown", "unknown"]
            assert set((await world.charge(*(world.pay("tok_success") for _ in range(4)))).values()) == {"deferred"}

    async def test_one_merchants_bad_method_stops_neither_others_nor_its_good_one(self, world: ChargeWorld) -> None:
        await world.charge(*(world.pay("tok_error") for _ in range(6)))
        other = new_merchant(world.database)
        for _ in range(5):
            bad = [world.pay("tok_error") for _ in range(10)]
            good = [world.pay("tok_success"), new_payment(world.database, other, payment_method="tok_success")]
            outcomes = await world.charge(*bad, *good)
            assert [outcomes[id_] for id_ in good] == ["succeeded", "succeeded"]

    async def test_two_merchants_with_bad_methods_stop_no_third(self, world: ChargeWorld) -> None:
        merchants = [new_merchant(world.database) for _ in range(2)]
        good_merchant = new_merchant(world.database)
        for _ in range(4):
            bad = [new_payment(world.database, merchant, payment_method="tok_error") for merchant in merchants * 5]
            await world.charge(*bad)
            good = new_payment(world.database, good_merchant, payment_method="tok_success")
            assert (await world.charge(good))[good] == "succeeded"

    async def test_a_failing_method_goes_through_its_retries_in_turns(self, world: ChargeWorld) -> None:
        await world.charge(world.pay("tok_success"), *(world.pay("tok_error") for _ in range(3)))
        held = world.pay("tok_error")
        assert await world.charge(held) == {held: "deferred"}
        for number, outcome in ((1, "unknown"), (2, "unknown"), (3, "failed")):
            world.clock.move(31)
            assert await world.charge(held, number=number) == {held: outcome}


@pytest.fixture
def retry_delays(monkeypatch: pytest.MonkeyPatch) -> dict[uuid.UUID, float]:
    """The delay of each payment's retry in seconds, as passed to the outbox."""
    delays: dict[uuid.UUID, float] = {}
    add_delayed = outbox.add_delayed

    def note_and_add(transaction: Transaction, events: Sequence[tuple[Event, float]], **options: Any) -> None:
        for event, seconds in events:
            if event.type == PROCESS_PAYMENT and event.payment_id is not None:
                delays[event.payment_id] = seconds
        add_delayed(transaction, events, **options)

    monkeypatch.setattr(outbox, "add_delayed", note_and_add)
    return delays


class BreakingGateway:
    """A gateway that raises an unforeseen error."""

    async def send(self, _: GatewayRequest) -> GatewayAnswer:
        raise RuntimeError("an unforeseen failure")

    async def find(self, _: GatewayRequest) -> LookUpAnswer:
        raise RuntimeError("an unforeseen failure")


class LimitedGateway:
    """A gateway that takes so many calls in all and answers 429 to the others."""

    def __init__(self, takes: int, retry_after_seconds: float | None = None) -> None:
        self.takes = takes
        self.retry_after_seconds = retry_after_seconds
        self.calls = 0

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        self.calls += 1
        if self.calls > self.takes:
            return RateLimited(self.retry_after_seconds)
        return Succeeded(f"ch_{request.payment_id.hex}")

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        return NotFound()


class TestRateLimits:
    """The pace starts at the rate that the gateway accepted. The clock is stopped, which counts as one second."""

    def limit(self, world: ChargeWorld, takes: int, retry_after_seconds: float | None = None) -> LimitedGateway:
        world.clock.stop()
        gateway = LimitedGateway(takes, retry_after_seconds)
        policy = CircuitPolicy(failure_threshold=3, cooldown_seconds=30)
        world.services = replace(world.services, gateways={"default": gateway}, circuit_policy=policy)
        return gateway

    async def test_refused_calls_come_again_one_by_one_and_nothing_fails(
        self, world: ChargeWorld, retry_delays: dict[uuid.UUID, float]
    ) -> None:
        self.limit(world, takes=20, retry_after_seconds=3.0)
        payments = [world.pay("tok_success") for _ in range(60)]
        watch = await world.watch(*payments)
        assert [round(rate) for rate in watch.slowed.values()] == [20]
        assert watch.changes == []
        attempts = [attempt for id_ in payments for attempt in attempt_rows(world.database, id_)]
        assert Counter(attempt["status"] for attempt in attempts) == {"succeeded": 20, "rate_limited": 40}
        assert [retry_delays[id_] for id_ in payments if id_ in retry_delays] == [3] * 40, (
            "40 calls take 2 s, which is less than the gateway asks for"
        )

    async def test_without_a_retry_after_they_are_spread_at_the_pace(
        self, world: ChargeWorld, retry_delays: dict[uuid.UUID, float]
    ) -> None:
        self.limit(world, takes=10)
        payments = [world.pay("tok_success") for _ in range(60)]
        await world.charge(*payments)
        delays = sorted(retry_delays[id_] for id_ in payments if id_ in retry_delays)
        assert len(delays) == 50
        assert delays[-1] == pytest.approx(4.9)
        assert max(after - before for before, after in pairwise(delays)) < 0.2

    async def test_a_paced_merchant_is_called_no_faster_and_the_rest_uses_no_attempt(self, world: ChargeWorld) -> None:
        gateway = self.limit(world, takes=10)
        await world.charge(*(world.pay("tok_success") for _ in range(20)))
        gateway.calls, gateway.takes = 0, 1000
        later = [world.pay("tok_success") for _ in range(40)]
        outcomes = Counter((await world.charge(*later)).values())
        assert outcomes == {"succeeded": gateway.calls, "deferred": 40 - gateway.calls}
        assert 10 <= gateway.calls <= 12
        called = [id_ for id_ in later if attempt_rows(world.database, id_)]
        assert called == later[: gateway.calls], "the oldest first"

    @pytest.mark.parametrize(("ask_first", "status"), [(True, "unknown"), (False, "rate_limited")])
    def test_a_refused_call_after_an_unclear_one_is_asked_about_again(
        self, world: ChargeWorld, ask_first: bool, status: str
    ) -> None:
        payment_id = world.pay("tok_success")
        (attempt,) = start_attempts(world.services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts
        answered = AnsweredAttempt(replace(attempt, ask_first=ask_first), RateLimited(3))
        record_answers(world.services, [answered], GatewayWatch())
        assert attempt_rows(world.database, payment_id)[0]["status"] == status
        world.clock.move(4)
        start = start_attempts(world.services, [OperationOrder(payment_id, 1, 1)], GatewayWatch())
        assert [again.ask_first for again in start.attempts] == [ask_first]

    async def test_another_merchant_is_not_slowed(self, world: ChargeWorld) -> None:
        gateway = self.limit(world, takes=0)
        await world.charge(*(world.pay("tok_success") for _ in range(50)))
        gateway.takes = 1000
        other = new_merchant(world.database)
        good = [new_payment(world.database, other) for _ in range(50)]
        assert set((await world.charge(*good)).values()) == {"succeeded"}

    async def test_a_gateway_that_limits_is_alive(self, world: ChargeWorld) -> None:
        url_gateway = world.services.gateways["default"]
        self.limit(world, takes=0)
        world.services = replace(world.services, gateways={"default": url_gateway})
        await world.charge(*(world.pay("tok_error") for _ in range(3)))
        assert "gateway" in open_circuits(world)
        self.limit(world, takes=0)
        world.clock.move(31)
        await world.charge(world.pay("tok_success"))
        assert "gateway" not in open_circuits(world)


class TestThroughput:
    async def test_a_batch_takes_as_long_as_its_slowest_call(self, world: ChargeWorld) -> None:
        control_gateway(world.gateway_url, latency_seconds_min=0.3, latency_seconds_max=0.3)
        payments = [world.pay(None) for _ in range(50)]
        started = time.monotonic()
        outcomes = await world.charge(*payments)
        assert set(outcomes.values()) == {"succeeded"}
        assert time.monotonic() - started < 50 * 0.3 / 2
