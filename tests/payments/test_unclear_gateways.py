"""Money is never written off while it may have moved, and one bad outcome delays no other payment."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

import pytest

from local.testkit.payments import MovableClock, attempt_rows, new_merchant, new_payment, payment_row
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.charge import charge_payments
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import (
    ChargeAnswer,
    Charged,
    Declined,
    Fault,
    LookUpAnswer,
    NotFound,
    RefusedRequest,
    Unknown,
)
from paybridge.payments.domain.payment import Status
from paybridge.payments.ports import ChargeRequest
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredCharge, ChargeOrder, ChargeServices, PaymentResult
from paybridge.payments.start_attempts import start_attempts

pytestmark = pytest.mark.integration

SILENCE = Unknown(Fault.NO_ANSWER, "no answer")
UNCLEAR = Unknown(Fault.SERVER_ERROR, "the look-up failed")
LAST = 3


@dataclass
class ScriptedGateway:
    """A gateway that gives the answers of the test; the simulated one cannot lose exactly these."""

    charges: ChargeAnswer = SILENCE
    look_ups: list[LookUpAnswer] = field(default_factory=list)
    by_payment: dict[uuid.UUID, ChargeAnswer] = field(default_factory=dict)
    breaking: set[uuid.UUID] = field(default_factory=set)
    asked_to_charge: int = 0

    async def charge(self, request: ChargeRequest) -> ChargeAnswer:
        self.asked_to_charge += 1
        if request.payment_id in self.breaking:
            raise RuntimeError("an unforeseen failure")
        return self.by_payment.get(request.payment_id, self.charges)

    async def find_charge(self, request: ChargeRequest) -> LookUpAnswer:
        return self.look_ups.pop(0) if self.look_ups else NotFound()


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def services(database_address: DatabaseAddress, gateway: ScriptedGateway) -> Iterator[ChargeServices]:
    with closing(Database(database_address)) as database:
        yield ChargeServices(
            database=database,
            gateway=gateway,
            clock=MovableClock(),
            ids=Uuid7Ids(),
            retry_delays_seconds=(1, 2),
            lease_seconds=10,
            circuit_policy=CircuitPolicy(1000, 5),
        )


@pytest.fixture
def payment_id(services: ChargeServices) -> uuid.UUID:
    return new_payment(services.database, new_merchant(services.database))


async def attempt(services: ChargeServices, payment_id: uuid.UUID, number: int) -> PaymentResult:
    (result,) = await charge_payments(services, [ChargeOrder(payment_id, number)])
    return result


async def use_up_tries(services: ChargeServices, payment_id: uuid.UUID) -> None:
    for number in range(1, LAST):
        assert (await attempt(services, payment_id, number)).outcome == "unknown"


class TestTheLastTry:
    async def test_nothing_arrived_fails_the_payment(self, services: ChargeServices, payment_id: uuid.UUID) -> None:
        await use_up_tries(services, payment_id)
        assert (await attempt(services, payment_id, LAST)).outcome == "failed"

    async def test_a_look_up_that_fails_keeps_the_payment_open_until_the_gateway_can_say(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await use_up_tries(services, payment_id)
        gateway.look_ups = [NotFound(), UNCLEAR]
        assert (await attempt(services, payment_id, LAST)).outcome == "unknown"
        gateway.look_ups = [Charged("ch_1")]
        assert (await attempt(services, payment_id, LAST + 1)).outcome == "succeeded"


class TestLaterTries:
    async def test_a_gateway_that_cannot_say_what_it_charged_is_not_asked_to_charge_again(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(services, payment_id, 1)
        gateway.charges, gateway.look_ups = Charged("ch_2"), [UNCLEAR]
        assert (await attempt(services, payment_id, 2)).outcome == "unknown"
        assert gateway.asked_to_charge == 1


class TestRefusedRequests:
    async def test_a_first_try_that_is_refused_is_final(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = RefusedRequest("400")
        assert (await attempt(services, payment_id, 1)).outcome == "failed"
        assert payment_row(services.database, payment_id)["failure_code"] == "gateway_rejected"

    async def test_a_refusal_settles_nothing_when_an_earlier_try_may_have_charged(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(services, payment_id, 1)
        gateway.charges, gateway.look_ups = RefusedRequest("400"), [UNCLEAR]
        assert (await attempt(services, payment_id, 2)).outcome == "unknown"


class TestChargedTooLate:
    async def test_a_charge_of_a_payment_that_was_given_up_is_reported(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        batch = start_attempts(services, [ChargeOrder(payment_id, 1)])
        assert isinstance(services.clock, MovableClock)
        services.clock.move(11)
        gateway.charges = Declined("card_declined", "Card declined.")
        assert (await attempt(services, payment_id, 2)).outcome == "failed"
        late = AnsweredCharge(batch.attempts[0], Charged("ch_late"))
        (result,) = record_answers(services, [late], batch.circuit)
        assert result.outcome == "charged_too_late"
        assert "give the money back" in str(result.error)

    async def test_a_charge_that_was_recorded_before_is_no_error(
        self, services: ChargeServices, payment_id: uuid.UUID
    ) -> None:
        batch = start_attempts(services, [ChargeOrder(payment_id, 1)])
        answered = AnsweredCharge(batch.attempts[0], Charged("ch_1"))
        (first,) = record_answers(services, [answered], batch.circuit)
        (second,) = record_answers(services, [answered], batch.circuit)
        assert (first.outcome, second.outcome, second.error) == ("succeeded", "unknown", None)


class TestIllegalTransitions:
    async def test_an_answer_that_the_state_machine_refuses_is_reported_alone(self, services: ChargeServices) -> None:
        merchant_id = new_merchant(services.database)
        ids = [new_payment(services.database, merchant_id) for _ in range(2)]
        batch = start_attempts(services, [ChargeOrder(id_, 1) for id_ in ids])
        bad, good = batch.attempts
        bad = replace(bad, payment=replace(bad.payment, status=Status.CANCELED))
        answers = [AnsweredCharge(each, Charged("ch_1")) for each in (bad, good)]
        results = {result.payment_id: result for result in record_answers(services, answers, batch.circuit)}
        assert results[good.payment.id].outcome == "succeeded"
        assert results[bad.payment.id].outcome == "refused"
        assert results[bad.payment.id].error == "A payment cannot go from canceled to succeeded."
        assert payment_row(services.database, bad.payment.id)["status"] == "processing"
        # The evidence of the charge is kept.
        (attempt,) = attempt_rows(services.database, bad.payment.id)
        assert (attempt["status"], attempt["gateway_id"]) == ("succeeded", "ch_1")


class TestOneBadOutcome:
    async def test_the_others_are_recorded_and_the_bad_one_stays_open(
        self, services: ChargeServices, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(services.database)
        bad, *good = [new_payment(services.database, merchant_id) for _ in range(5)]
        gateway.charges = Charged("ch_1")
        # PostgreSQL accepts no NUL in text, so the statement of the whole group fails.
        gateway.by_payment[bad] = Charged("ch_\x00")
        results = await charge_payments(services, [ChargeOrder(id_, 1) for id_ in [bad, *good]])
        outcomes = {result.payment_id: result.outcome for result in results}
        assert outcomes == {bad: "refused", **dict.fromkeys(good, "succeeded")}
        assert next(result.error for result in results if result.payment_id == bad)
        assert payment_row(services.database, bad)["status"] == "processing"
        assert attempt_rows(services.database, bad)[0]["status"] == "started"

    async def test_an_unforeseen_failure_of_one_call_costs_that_payment_a_try(
        self, services: ChargeServices, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(services.database)
        bad, *good = [new_payment(services.database, merchant_id) for _ in range(5)]
        gateway.charges, gateway.breaking = Charged("ch_1"), {bad}
        results = await charge_payments(services, [ChargeOrder(id_, 1) for id_ in [bad, *good]])
        outcomes = {result.payment_id: result.outcome for result in results}
        assert outcomes == {bad: "unknown", **dict.fromkeys(good, "succeeded")}

    async def test_a_database_that_takes_no_writes_returns_the_whole_batch(
        self, services: ChargeServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        # As on a server that a failover turned into a replica.
        services.database.run(Statement("SET default_transaction_read_only = on"))
        with pytest.raises(DatabaseUnavailable):
            await attempt(services, payment_id, 1)
        gateway.charges = Charged("ch_1")
        assert (await attempt(services, payment_id, 1)).outcome == "succeeded"
