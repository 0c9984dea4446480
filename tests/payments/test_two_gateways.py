"""Payments of merchants at different gateways, on one engine: a Stripe on loopback beside one that takes everything."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
import pytest_asyncio

from local.testkit.payments import (
    MovableClock,
    attempt_rows,
    new_merchant,
    new_payment,
    operation_rows,
    outbox_rows,
    payment_row,
)
from local.testkit.stripe import account
from local.testkit.stripe.server import API_KEY, WEBHOOK_SECRET, FakeStripe, Fault, fake_stripe, sign
from paybridge.core.errors import InvalidInput
from paybridge.core.events import FIND_LATE_CHANGE, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.accept_notice import accept_notice
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.diagnose import diagnose_payment
from paybridge.payments.domain.circuit import CircuitPolicy, MerchantAt
from paybridge.payments.domain.operation import first_operation
from paybridge.payments.domain.pace import FIRST_CALLS_PER_SECOND, Pace
from paybridge.payments.domain.payment import PaymentOrder
from paybridge.payments.domain.payment import new_payment as a_new_payment
from paybridge.payments.find_late_changes import find_late_changes
from paybridge.payments.gateway_watch import GatewayWatch, RefusedCall, seconds_until_next
from paybridge.payments.gateways import stripe as stripe_adapter
from paybridge.payments.gateways.stripe import StripeGateway
from paybridge.payments.gateways.stripe_notices import read_stripe_notice
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.records import Attempt, EngineServices
from paybridge.payments.review_circuits import review_circuits
from paybridge.payments.run_operations import run_operations
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder
from paybridge.runners.consumer import HANDLED_TYPES, order_of
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

_SET_GATEWAY = Statement("UPDATE merchants SET gateway = :gateway::text WHERE id = :id::uuid")
_CIRCUITS = Statement("SELECT name FROM circuits WHERE open_until IS NOT NULL")
_FORGET_CIRCUITS = Statement("DELETE FROM circuits")
# How long to wait for an answer that comes, however busy the machine is.
ANSWER_SECONDS_MAX = 10.0
# An answer that never comes is waited for in full, and before that Stripe has to receive the request.
SILENCE_SECONDS = 2.0
POLICY = CircuitPolicy(failure_threshold=3, cooldown_seconds=30)


class FixedKey:
    """Stripe's secret key, which never changes."""

    def read(self) -> str:
        return API_KEY

    read_again = read


@dataclass
class World:
    """Both gateways, their merchants, and the engine."""

    services: EngineServices
    stripe: FakeStripe
    default: RecordingGateway
    merchant_id: uuid.UUID
    stripes_merchant_id: uuid.UUID
    clock: MovableClock
    _done: set[str] = field(default_factory=set)
    _token: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def database(self) -> Database:
        return self.services.database

    def pay(self, method: str = account.SUCCESS, **order: Any) -> uuid.UUID:
        """A payment of 100.50 EUR through Stripe, still pending."""
        values = {"currency": "EUR", "payment_method": method, **order}
        return new_payment(self.database, self.stripes_merchant_id, **values)

    async def run(self, *payment_ids: uuid.UUID) -> GatewayWatch:
        """Deliver the messages that wait, in one batch, however far in the future they are due."""
        waiting = [row for id_ in payment_ids for row in outbox_rows(self.database, id_) if row["id"] not in self._done]
        self._done |= {row["id"] for row in waiting}
        events = [parse_envelope(orjson.loads(row["body"])) for row in waiting if row["type"] in HANDLED_TYPES]
        ended = [event for event in events if event.type == FIND_LATE_CHANGE]
        watch = GatewayWatch()
        await run_operations(self.services, [order_of(event) for event in events if event not in ended], watch)
        await find_late_changes(self.services, [uuid.UUID(event.data["operation_id"]) for event in ended])
        return watch

    def keyed(self, operation: str) -> Keyed:
        """A request under a new key."""
        return Keyed(self.stripes_merchant_id, operation, IdempotentRequest(str(uuid.uuid4()), bytes(32)))

    def capture(self, payment_id: uuid.UUID, amount: str | None = None) -> None:
        keyed = self.keyed(capture_operation(payment_id))
        self._order(capture_payment, payment_id, keyed, amount=amount)

    def cancel(self, payment_id: uuid.UUID) -> None:
        self._order(cancel_payment, payment_id, self.keyed(cancel_operation(payment_id)), reason=None)

    def refund(self, payment_id: uuid.UUID, amount: str) -> None:
        keyed = self.keyed(refund_operation(payment_id))
        self._order(create_refund, payment_id, keyed, order=RefundOrder(amount=amount))

    def _order(self, use_case: Callable[..., Any], payment_id: uuid.UUID, keyed: Keyed, **wishes: Any) -> None:
        answer = use_case(
            self.database, self.clock, Uuid7Ids(), keyed=keyed, payment_id=payment_id, correlation_id="test", **wishes
        )
        assert isinstance(answer, Answered), answer

    def notify(self) -> None:
        """Post every event of the account, twice and backwards."""
        for event in [*self.stripe.account.events, *self.stripe.account.events][::-1]:
            body = json.dumps(event).encode()
            headers = {"stripe-signature": sign(body, int(self.clock.now().timestamp()), WEBHOOK_SECRET)}
            notice = read_stripe_notice([WEBHOOK_SECRET], headers, body, self.clock.now())
            # The account numbers its events from 1 in each test.
            named = replace(notice, id=f"{notice.id}_{self._token}")
            accept_notice(self.database, self.clock, Uuid7Ids(), "stripe", named)

    def movements(self) -> list[tuple[str, int]]:
        return [(each.kind, each.amount) for each in self.stripe.account.movements]

    def status(self, payment_id: uuid.UUID) -> str:
        return str(payment_row(self.database, payment_id)["status"])

    def open_circuits(self) -> set[str]:
        return {name for (name,) in self.database.run(_CIRCUITS)}


@pytest.fixture
def timeout_seconds() -> float:
    """How long a call to Stripe may take."""
    return ANSWER_SECONDS_MAX


@pytest_asyncio.fixture
async def world(
    database_address: DatabaseAddress, timeout_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    monkeypatch.setattr(stripe_adapter, "LOOK_UP_SECONDS_MAX", ANSWER_SECONDS_MAX)
    with closing(Database(database_address)) as database:
        database.run(_FORGET_CIRCUITS)
        async with fake_stripe() as stripe:
            default, clock = RecordingGateway(), MovableClock()
            gateway = StripeGateway(stripe.url, FixedKey(), timeout_seconds)
            services = engine_services(database, default, clock)
            services = replace(services, gateways={"default": default, "stripe": gateway}, circuit_policy=POLICY)
            merchants = new_merchant(database), new_merchant(database)
            database.run(_SET_GATEWAY, id=merchants[1], gateway="stripe")
            yield World(services, stripe, default, *merchants, clock)
            await gateway.close()
        database.run(_FORGET_CIRCUITS)


class TestChoice:
    async def test_a_payment_goes_to_the_gateway_of_its_merchant(self, world: World) -> None:
        ours, stripes = new_payment(world.database, world.merchant_id), world.pay()
        await world.run(ours, stripes)
        assert [payment_row(world.database, id_)["gateway"] for id_ in (ours, stripes)] == ["default", "stripe"]
        assert {world.status(ours), world.status(stripes)} == {"succeeded"}
        assert world.default.calls == [ours]
        assert world.movements() == [("charge", 10050)]
        assert payment_row(world.database, stripes)["gateway_id"] == next(iter(world.stripe.account.intents))

    async def test_it_stays_there_when_the_merchant_moves(self, world: World) -> None:
        before = world.pay()
        await world.run(before)
        world.database.run(_SET_GATEWAY, id=world.stripes_merchant_id, gateway="default")
        after = world.pay()
        world.refund(before, "10.00")
        await world.run(before, after)
        assert world.movements() == [("charge", 10050), ("refund", 1000)]
        assert payment_row(world.database, after)["gateway"] == "default"

    async def test_one_that_is_not_configured_leaves_the_payment_open(self, world: World) -> None:
        configured = world.services.gateways
        world.services = replace(world.services, gateways={"default": world.default})
        payment_id = world.pay()
        await world.run(payment_id)
        for _ in range(5):
            world.clock.move(60)
            await world.run(payment_id)
        assert world.status(payment_id) == "processing"
        world.services = replace(world.services, gateways=configured)
        world.clock.move(60)
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"
        assert world.movements() == [("charge", 10050)]


class TestWholeLife:
    async def test_authorize_capture_a_part_and_refund_it(self, world: World) -> None:
        payment_id = world.pay(capture="manual")
        await world.run(payment_id)
        payment = payment_row(world.database, payment_id)
        assert payment["status"] == "requires_capture"
        assert payment["capture_before"] is not None
        world.capture(payment_id, "60.00")
        await world.run(payment_id)
        assert (world.status(payment_id), payment_row(world.database, payment_id)["captured_minor"]) == (
            "succeeded",
            6000,
        )
        for amount in ("25.00", "35.00"):
            world.refund(payment_id, amount)
        await world.run(payment_id)
        assert world.status(payment_id) == "refunded"
        assert world.movements() == [("authorization", 10050), ("capture", 6000), ("refund", 2500), ("refund", 3500)]

    async def test_authorize_and_cancel(self, world: World) -> None:
        payment_id = world.pay(capture="manual")
        await world.run(payment_id)
        world.cancel(payment_id)
        await world.run(payment_id)
        assert world.status(payment_id) == "canceled"
        assert world.movements() == [("authorization", 10050), ("void", 10050)]

    async def test_whole_units(self, world: World) -> None:
        payment_id = world.pay(amount_minor=5, currency="UGX")
        await world.run(payment_id)
        world.refund(payment_id, "2")
        await world.run(payment_id)
        assert payment_row(world.database, payment_id)["refunded_minor"] == 2
        assert world.movements() == [("charge", 500), ("refund", 200)]

    async def test_a_partial_approval_is_given_back(self, world: World) -> None:
        payment_id = world.pay(account.PARTIAL)
        await world.run(payment_id)
        await world.run(payment_id)
        payment = payment_row(world.database, payment_id)
        assert (payment["status"], payment["failure_code"]) == ("failed", "partial_approval")
        assert world.movements() == [("charge", 8040), ("refund", 8040)]

    async def test_a_decline_and_an_amount_that_stripe_cannot_express(self, world: World) -> None:
        declined = world.pay("pm_card_chargeDeclinedInsufficientFunds")
        inexpressible = world.pay(amount_minor=5124, currency="KWD")
        await world.run(declined, inexpressible)
        codes = [payment_row(world.database, id_)["failure_code"] for id_ in (declined, inexpressible)]
        assert codes == ["insufficient_funds", "amount_not_supported"]
        assert world.movements() == []


class TestInexpressibleAmounts:
    async def test_a_capture_is_refused_before_it_costs_the_authorization(self, world: World) -> None:
        payment_id = world.pay(amount_minor=5120, currency="KWD", capture="manual")
        await world.run(payment_id)
        with pytest.raises(InvalidInput, match="of which the last is 0") as refused:
            world.capture(payment_id, "5.119")
        assert (refused.value.code, refused.value.field) == ("amount_not_supported", "amount")
        assert payment_row(world.database, payment_id)["pending_operation"] is None
        world.capture(payment_id, "5.110")
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"

    async def test_so_is_a_refund(self, world: World) -> None:
        payment_id = world.pay(amount_minor=100_00, currency="MGA")
        await world.run(payment_id)
        with pytest.raises(InvalidInput, match="whole units"):
            world.refund(payment_id, "0.50")
        assert payment_row(world.database, payment_id)["refunding_minor"] == 0

    async def test_another_gateway_takes_them(self, world: World) -> None:
        world.database.run(_SET_GATEWAY, id=world.stripes_merchant_id, gateway="default")
        payment_id = world.pay(amount_minor=5124, currency="KWD")
        await world.run(payment_id)
        world.refund(payment_id, "0.001")
        await world.run(payment_id)
        assert payment_row(world.database, payment_id)["refunded_minor"] == 1


@pytest.mark.parametrize("timeout_seconds", [SILENCE_SECONDS])
class TestLostAnswers:
    async def test_each_operation_happens_once(self, world: World) -> None:
        payment_id = world.pay(capture="manual")
        world.stripe.faults.append(Fault.ANSWER_LOST)
        await world.run(payment_id)
        world.capture(payment_id)
        world.stripe.faults.append(Fault.ERROR_AFTER)
        await world.run(payment_id)
        for _ in range(2):
            world.refund(payment_id, "30.00")
        world.stripe.faults += [Fault.ANSWER_LOST, Fault.ANSWER_LOST]
        await world.run(payment_id)
        assert payment_row(world.database, payment_id)["refunded_minor"] == 6000
        assert world.movements() == [("authorization", 10050), ("capture", 10050), ("refund", 3000), ("refund", 3000)]

    async def test_a_request_that_never_arrived_is_made_again(self, world: World) -> None:
        payment_id = world.pay()
        world.stripe.faults.append(Fault.REQUEST_LOST)
        await world.run(payment_id)
        assert world.status(payment_id) == "processing"
        world.clock.move(10)
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"
        assert world.movements() == [("charge", 10050)]

    async def test_an_internal_error_that_stripe_repeats_fails_the_payment_in_the_end(self, world: World) -> None:
        payment_id = world.pay()
        world.stripe.faults.append(Fault.ERROR_BEFORE)
        for _ in range(3):
            await world.run(payment_id)
            world.clock.move(10)
        payment = payment_row(world.database, payment_id)
        assert (payment["status"], payment["failure_code"]) == ("failed", "gateway_error")
        assert world.movements() == []

    async def test_a_capture_goes_on_after_an_internal_error(self, world: World) -> None:
        payment_id = world.pay(capture="manual")
        await world.run(payment_id)
        world.capture(payment_id)
        world.stripe.faults.append(Fault.ERROR_BEFORE)
        await world.run(payment_id)
        assert world.status(payment_id) == "requires_capture"
        world.clock.move(10)
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"


class TestNotices:
    async def test_a_pending_charge_is_settled_when_stripe_says_so(self, world: World) -> None:
        payment_id = world.pay(account.SLOW)
        await world.run(payment_id)
        assert operation_rows(world.database, payment_id)[0]["status"] == "pending"
        world.stripe.account.let_time_pass()
        world.notify()
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"
        assert len([row for row in outbox_rows(world.database, payment_id) if row["type"] == "payment.succeeded"]) == 1

    async def test_a_refund_that_is_taken_back_later(self, world: World) -> None:
        payment_id = world.pay(account.REFUND_FAILS)
        await world.run(payment_id)
        world.refund(payment_id, "100.50")
        await world.run(payment_id)
        assert world.status(payment_id) == "refunded"
        world.stripe.account.let_time_pass()
        world.notify()
        await world.run(payment_id)
        assert world.status(payment_id) == "succeeded"
        assert payment_row(world.database, payment_id)["refunded_minor"] == 0


def answered_attempt(source: MerchantAt, now: datetime) -> Attempt:
    """The first attempt at a charge of the merchant at its gateway."""
    order = PaymentOrder(amount_minor=100, currency="EUR")
    payment = a_new_payment(order, id_=uuid.uuid4(), merchant_id=source.merchant_id, correlation_id="c", now=now)
    return Attempt(payment, first_operation(payment, source.gateway, now), 1, now, ask_first=False)


class TestCircuits:
    async def test_stripe_down_holds_up_stripes_payments_alone(self, world: World) -> None:
        world.stripe.faults += [Fault.ERROR_BEFORE] * 4
        failing = [world.pay() for _ in range(4)]
        watch = await world.run(*failing)
        assert {(change.scope, change.gateway) for change in watch.changes} == {
            ("gateway", "stripe"),
            ("payment method", "stripe"),
        }
        assert "gateway/stripe" in world.open_circuits()
        assert review_circuits(world.database, world.clock)
        ours, theirs = new_payment(world.database, world.merchant_id), world.pay()
        await world.run(ours, theirs)
        assert [world.status(ours), world.status(theirs)] == ["succeeded", "pending"]
        assert attempt_rows(world.database, theirs) == []
        # The circuit may have opened before the last of the calls that were to fail.
        world.stripe.faults.clear()
        world.clock.move(31)
        await world.run(theirs)
        assert world.status(theirs) == "succeeded"
        assert world.open_circuits() == set()

    async def test_a_merchants_bad_method_opens_no_gateway(self, world: World) -> None:
        good, bad = new_merchant(world.database), world.stripes_merchant_id
        world.database.run(_SET_GATEWAY, id=good, gateway="stripe")
        for _ in range(6):
            payments = [new_payment(world.database, bad, currency="EUR", payment_method="pm_card_visa")]
            world.stripe.faults.append(Fault.ERROR_BEFORE)
            await world.run(*payments)
            await world.run(new_payment(world.database, good, currency="EUR", payment_method="pm_card_visa"))
            world.clock.move(31)
        assert world.open_circuits() == {f"gateway/stripe/merchant/{bad}/pm_card_visa"}

    async def test_a_rate_limit_at_stripe_slows_nothing_elsewhere(self, world: World) -> None:
        world.stripe.faults += [Fault.RATE_LIMITED] * 3
        limited = [world.pay() for _ in range(3)]
        watch = await world.run(*limited)
        assert {(source.gateway, source.merchant_id) for source in watch.slowed} == {
            ("stripe", world.stripes_merchant_id)
        }
        world.database.run(_SET_GATEWAY, id=world.stripes_merchant_id, gateway="default")
        elsewhere = [world.pay() for _ in range(20)]
        watch = await world.run(*elsewhere)
        assert watch.due_seconds == {}
        assert {world.status(id_) for id_ in elsewhere} == {"succeeded"}

    async def test_a_diagnosis_names_what_holds_the_payment_back(self, world: World) -> None:
        world.stripe.faults += [Fault.ERROR_BEFORE] * 3
        failing = [world.pay() for _ in range(3)]
        await world.run(*failing)
        found = diagnose_payment(world.database, world.clock, failing[0])
        assert found is not None
        assert "The circuit of the gateway is open" in found.explanation

    def test_merchants_take_turns_with_those_at_the_same_gateway_alone(self) -> None:
        """One gateway that takes a hundred calls a second lends no speed to another."""
        now = MovableClock().now()
        watch = GatewayWatch(began_at=now - timedelta(seconds=1))
        slow, fast = (MerchantAt(gateway, uuid.uuid4()) for gateway in ("stripe", "default"))
        watch.answered = [answered_attempt(fast, now) for _ in range(100)] + [answered_attempt(slow, now)]
        refused = {source: [uuid.uuid4() for _ in range(101)] for source in (slow, fast)}
        for source, ids in refused.items():
            watch.refused |= {id_: RefusedCall(source, None) for id_ in ids}
        # Paces so fast that the shared turns alone decide.
        paces = {source: Pace(1e6, now, now + timedelta(seconds=60)) for source in refused}
        due = seconds_until_next(watch, [id_ for ids in refused.values() for id_ in ids], paces, now)
        assert due[refused[slow][100]] == pytest.approx(100 / FIRST_CALLS_PER_SECOND)
        assert due[refused[fast][100]] == pytest.approx(1)
