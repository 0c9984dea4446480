"""Money is never written off while it may have moved, and one bad outcome holds up nobody else."""

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from local.testkit.payments import MovableClock, attempt_rows, new_merchant, new_payment, payment_row
from paybridge.core.errors import DatabaseUnavailable
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.begin_attempts import begin_attempts
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.ports import Charged, ChargeRequest, Declined, GatewayOutcome, Rejected, Unknown
from paybridge.payments.process import process_payments
from paybridge.payments.processing import ChargeOrder, Outcome, Processed, Processing
from paybridge.payments.record_outcomes import record_outcomes

pytestmark = pytest.mark.integration

SILENCE = Unknown("gateway_timeout", "no answer")
UNCLEAR = Unknown("gateway_error", "the look-up failed")
LAST = 3


@dataclass
class ScriptedGateway:
    """Answers as the test says: no simulated gateway can lose exactly these answers."""

    charges: GatewayOutcome | Rejected = SILENCE
    look_ups: list[GatewayOutcome | None] = field(default_factory=list)
    by_payment: dict[uuid.UUID, GatewayOutcome] = field(default_factory=dict)
    breaking: set[uuid.UUID] = field(default_factory=set)
    asked_to_charge: int = 0

    async def charge(self, request: ChargeRequest) -> GatewayOutcome | Rejected:
        self.asked_to_charge += 1
        if request.payment_id in self.breaking:
            raise RuntimeError("something nobody has foreseen")
        return self.by_payment.get(request.payment_id, self.charges)

    async def find_charge(self, request: ChargeRequest) -> GatewayOutcome | None:
        return self.look_ups.pop(0) if self.look_ups else None


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def processing(database_address: DatabaseAddress, gateway: ScriptedGateway) -> Iterator[Processing]:
    with closing(Database(database_address)) as database:
        yield Processing(
            database=database,
            gateway=gateway,
            clock=MovableClock(),
            ids=Uuid7Ids(),
            retry_delays_seconds=(1, 2),
            lease_seconds=10,
            circuit_policy=CircuitPolicy(1000, 5),
        )


@pytest.fixture
def payment_id(processing: Processing) -> uuid.UUID:
    return new_payment(processing.database, new_merchant(processing.database))


async def attempt(processing: Processing, payment_id: uuid.UUID, number: int) -> Processed:
    (processed,) = await process_payments(processing, [ChargeOrder(payment_id, number)])
    return processed


async def use_up_tries(processing: Processing, payment_id: uuid.UUID) -> None:
    for number in range(1, LAST):
        assert (await attempt(processing, payment_id, number)).outcome == "unknown"


class TestTheLastTry:
    async def test_nothing_arrived_fails_the_payment(self, processing: Processing, payment_id: uuid.UUID) -> None:
        await use_up_tries(processing, payment_id)
        assert (await attempt(processing, payment_id, LAST)).outcome == "failed"

    async def test_a_look_up_that_fails_keeps_the_payment_open_until_the_gateway_can_say(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await use_up_tries(processing, payment_id)
        gateway.look_ups = [None, UNCLEAR]
        assert (await attempt(processing, payment_id, LAST)).outcome == "unknown"
        gateway.look_ups = [Charged("ch_1")]
        assert (await attempt(processing, payment_id, LAST + 1)).outcome == "succeeded"


class TestLaterTries:
    async def test_a_gateway_that_cannot_say_what_it_charged_is_not_asked_to_charge_again(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(processing, payment_id, 1)
        gateway.charges, gateway.look_ups = Charged("ch_2"), [UNCLEAR]
        assert (await attempt(processing, payment_id, 2)).outcome == "unknown"
        assert gateway.asked_to_charge == 1


class TestRefusedRequests:
    async def test_a_first_try_that_is_refused_is_final(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Rejected("400")
        assert (await attempt(processing, payment_id, 1)).outcome == "failed"
        assert payment_row(processing.database, payment_id)["failure_code"] == "gateway_rejected"

    async def test_a_refusal_settles_nothing_when_an_earlier_try_may_have_charged(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(processing, payment_id, 1)
        gateway.charges, gateway.look_ups = Rejected("400"), [UNCLEAR]
        assert (await attempt(processing, payment_id, 2)).outcome == "unknown"


class TestChargedTooLate:
    async def test_a_charge_of_a_payment_that_was_given_up_is_reported(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        begun = begin_attempts(processing, [ChargeOrder(payment_id, 1)])
        assert isinstance(processing.clock, MovableClock)
        processing.clock.move(11)
        gateway.charges = Declined("card_declined", "Card declined.")
        assert (await attempt(processing, payment_id, 2)).outcome == "failed"
        late = Outcome(begun.attempts[0], Charged("ch_late"))
        assert record_outcomes(processing, [late], begun.circuit).charged_too_late == {payment_id}

    async def test_a_charge_that_somebody_else_recorded_is_no_trouble(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Charged("ch_1")
        begun = begin_attempts(processing, [ChargeOrder(payment_id, 1)])
        outcome = Outcome(begun.attempts[0], Charged("ch_1"))
        assert record_outcomes(processing, [outcome], begun.circuit).settled == {payment_id: "succeeded"}
        again = record_outcomes(processing, [outcome], begun.circuit)
        assert (again.settled, again.charged_too_late) == ({}, set())


class TestOneBadOutcome:
    async def test_the_others_are_recorded_and_the_bad_one_stays_open(
        self, processing: Processing, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(processing.database)
        bad, *good = [new_payment(processing.database, merchant_id) for _ in range(5)]
        gateway.charges = Charged("ch_1")
        # PostgreSQL takes no NUL in text: the whole group's statement fails on it.
        gateway.by_payment[bad] = Charged("ch_\x00")
        processed = await process_payments(processing, [ChargeOrder(id_, 1) for id_ in [bad, *good]])
        outcomes = {one.payment_id: one.outcome for one in processed}
        assert outcomes == {bad: "refused", **dict.fromkeys(good, "succeeded")}
        assert next(one.error for one in processed if one.payment_id == bad)
        assert payment_row(processing.database, bad)["status"] == "processing"
        assert attempt_rows(processing.database, bad)[0]["status"] == "started"

    async def test_an_unforeseen_failure_of_one_call_costs_that_payment_a_try(
        self, processing: Processing, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(processing.database)
        bad, *good = [new_payment(processing.database, merchant_id) for _ in range(5)]
        gateway.charges, gateway.breaking = Charged("ch_1"), {bad}
        processed = await process_payments(processing, [ChargeOrder(id_, 1) for id_ in [bad, *good]])
        assert {one.payment_id: one.outcome for one in processed} == {
            bad: "unknown",
            **dict.fromkeys(good, "succeeded"),
        }

    async def test_a_database_that_takes_no_writes_returns_the_whole_batch(
        self, processing: Processing, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        # As on a server that a failover has left behind as a replica.
        processing.database.run(Statement("SET default_transaction_read_only = on"))
        with pytest.raises(DatabaseUnavailable):
            await attempt(processing, payment_id, 1)
        gateway.charges = Charged("ch_1")
        assert (await attempt(processing, payment_id, 1)).outcome == "succeeded"
