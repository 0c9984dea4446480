"""Money is never written off while it may have moved, and one bad outcome delays no other payment."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.testkit.payments import (
    MovableClock,
    attempt_rows,
    new_merchant,
    new_payment,
    operation_rows,
    outbox_rows,
    payment_row,
    rows,
)
from paybridge.core.errors import ConstraintViolated, DatabaseUnavailable
from paybridge.core.ids import Uuid7Ids
from paybridge.core.money import format_places
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.diagnose import diagnose_payment
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayAnswer,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    RefusedRequest,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.payment import Status
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.record_answers import NOT_GIVEN_BACK_ERROR, record_answers
from paybridge.payments.records import AnsweredAttempt, EngineServices, OperationOrder, PaymentResult
from paybridge.payments.run_operations import run_operations
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.store.charges_to_return import ChargeToReturn, ReturnReason
from paybridge.payments.store.charges_to_return import add as add_charges_to_return
from paybridge.payments.store.queries import get as get_payment
from paybridge.payments.store.stalled import count_stalled
from paybridge.payments.timeline import timeline_of

pytestmark = pytest.mark.integration

SILENCE = Unknown(Fault.NO_ANSWER, "no answer")
UNCLEAR = Unknown(Fault.SERVER_ERROR, "the look-up failed")
LAST = 3
# The longest that a busy machine may hold up a test between two readings of the time, less than delays differ by.
STALL_SECONDS_MAX = 100.0

_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
_PUBLISH_ALL_BUT_COMMANDS = Statement("""
    UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid AND sequence IS NOT NULL
""")
_OPEN_CIRCUIT = Statement("""
    INSERT INTO circuits (name, consecutive_failures, open_until) VALUES ('gateway', 7, now() + interval '1 hour')
    ON CONFLICT (name) DO UPDATE SET consecutive_failures = 7, open_until = excluded.open_until
""")
_CIRCUIT_FAILURES = Statement("SELECT consecutive_failures FROM circuits WHERE name = 'gateway'")
_CLOSE_CIRCUIT = Statement("DELETE FROM circuits WHERE name = 'gateway'")


@dataclass
class ScriptedGateway:
    """A gateway that gives the answers of the test; the simulated one cannot lose exactly these."""

    charges: GatewayAnswer = SILENCE
    look_ups: list[LookUpAnswer] = field(default_factory=list)
    by_payment: dict[uuid.UUID, GatewayAnswer] = field(default_factory=dict)
    breaking: set[uuid.UUID] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)
    asked_to_charge: int = 0

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        self.asked_to_charge += 1
        self.keys.append(request.idempotency_key)
        if request.payment_id in self.breaking:
            raise RuntimeError("an unforeseen failure")
        return self.by_payment.get(request.payment_id, self.charges)

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        return self.look_ups.pop(0) if self.look_ups else NotFound()


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def services(database_address: DatabaseAddress, gateway: ScriptedGateway) -> Iterator[EngineServices]:
    with closing(Database(database_address)) as database:
        yield EngineServices(
            database=database,
            gateways={"default": gateway},
            clock=MovableClock(),
            ids=Uuid7Ids(),
            schedule=Schedule((1, 2), (180, 300, 420)),
            lease_seconds=10,
            late_charge_ages_seconds=(60, 600),
            circuit_policy=CircuitPolicy(1000, 5),
            authorization_seconds=604800,
        )


@pytest.fixture
def payment_id(services: EngineServices) -> uuid.UUID:
    return new_payment(services.database, new_merchant(services.database))


async def attempt(services: EngineServices, payment_id: uuid.UUID, number: int, ask: int = 0) -> PaymentResult:
    (result,) = await run_operations(services, [OperationOrder(payment_id, number, ask)])
    return result


def newest_attempt(services: EngineServices, payment_id: uuid.UUID) -> dict[str, Any]:
    return attempt_rows(services.database, payment_id)[-1]


def assert_continued(
    services: EngineServices, payment_id: uuid.UUID, attempt: int, ask: int, after_seconds: float
) -> None:
    """Assert that the payment's newest command goes on with the attempt by this ask, after so many seconds."""
    row = outbox_rows(services.database, payment_id)[-1]
    data = json.loads(row["body"])["data"]
    delay = datetime.fromisoformat(row["available_at"]) - datetime.fromisoformat(row["created_at"])
    assert (data["attempt"], data["ask"]) == (attempt, ask)
    # The database counts the delay from when it writes the command, which is later on a busy machine.
    assert after_seconds <= delay.total_seconds() < after_seconds + STALL_SECONDS_MAX


def charge_facts(services: EngineServices, payment_id: uuid.UUID) -> list[tuple[Any, ...]]:
    """Return type, operation, sequence, amount and reason of what the ledger hears of charges that settle nothing."""
    return [
        (row["type"], row["subject_id"], row["sequence"], data["amount"], data["reason"])
        for row in outbox_rows(services.database, payment_id)
        if row["subject_type"] == "operation"
        for data in [json.loads(row["body"])["data"]]
    ]


def charges_to_return(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(
        services.database, "SELECT to_json(c) FROM charges_to_return c WHERE payment_id = :id::uuid", id=payment_id
    )


async def use_up_tries(services: EngineServices, payment_id: uuid.UUID) -> None:
    for number in range(1, LAST):
        assert (await attempt(services, payment_id, number)).outcome == "unknown"


class TestTheLastTry:
    async def test_nothing_arrived_fails_the_payment(self, services: EngineServices, payment_id: uuid.UUID) -> None:
        await use_up_tries(services, payment_id)
        assert (await attempt(services, payment_id, LAST)).outcome == "failed"

    async def test_a_look_up_that_fails_keeps_the_payment_open_until_the_gateway_can_say(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await use_up_tries(services, payment_id)
        gateway.look_ups = [NotFound(), UNCLEAR]
        assert (await attempt(services, payment_id, LAST)).outcome == "unknown"
        gateway.look_ups = [Succeeded("ch_1")]
        assert (await attempt(services, payment_id, LAST + 1)).outcome == "succeeded"

    async def test_only_the_newest_call_gives_up(self, services: EngineServices, payment_id: uuid.UUID) -> None:
        await use_up_tries(services, payment_id)
        slow = start_attempts(services, [OperationOrder(payment_id, LAST)], watch := GatewayWatch())
        assert isinstance(services.clock, MovableClock)
        services.clock.move(11)
        newest = start_attempts(services, [OperationOrder(payment_id, LAST + 1)], watch)
        nothing = replace(SILENCE, never_arrived=True)
        (result,) = record_answers(services, [AnsweredAttempt(slow.attempts[0], nothing)], watch)
        assert (result.outcome, result.error) == ("unknown", None)
        assert payment_row(services.database, payment_id)["status"] == "processing"
        (result,) = record_answers(services, [AnsweredAttempt(newest.attempts[0], Succeeded("ch_1"))], watch)
        assert result.outcome == "succeeded"
        assert payment_row(services.database, payment_id)["status"] == "succeeded"
        assert charges_to_return(services, payment_id) == []


class TestLaterTries:
    async def test_a_gateway_that_cannot_say_what_it_charged_is_not_asked_to_charge_again(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(services, payment_id, 1)
        gateway.charges, gateway.look_ups = Succeeded("ch_2"), [UNCLEAR]
        assert (await attempt(services, payment_id, 2)).outcome == "unknown"
        assert gateway.asked_to_charge == 1


class TestRefusedRequests:
    async def test_a_first_try_that_is_refused_is_final(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = RefusedRequest("400")
        assert (await attempt(services, payment_id, 1)).outcome == "failed"
        assert payment_row(services.database, payment_id)["failure_code"] == "gateway_rejected"

    async def test_a_refusal_settles_nothing_when_an_earlier_try_may_have_charged(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(services, payment_id, 1)
        gateway.charges, gateway.look_ups = RefusedRequest("400"), [UNCLEAR]
        assert (await attempt(services, payment_id, 2)).outcome == "unknown"


class TestOneKey:
    async def test_every_call_for_a_payment_has_the_same_key(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await use_up_tries(services, payment_id)
        gateway.charges = Pending()
        await attempt(services, payment_id, LAST)
        await attempt(services, payment_id, LAST, ask=1)
        assert gateway.keys == [f"{payment_id}:charge"] * 4


class TestPending:
    async def test_it_is_asked_for_on_its_own_schedule_and_uses_up_no_attempt(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Pending()
        assert (await attempt(services, payment_id, 1)).outcome == "pending"
        assert_continued(services, payment_id, attempt=1, ask=1, after_seconds=180)
        for ask in range(1, 6):
            gateway.look_ups = [Pending()]
            assert (await attempt(services, payment_id, 1, ask)).outcome == "pending"
        assert_continued(services, payment_id, attempt=1, ask=6, after_seconds=420)
        (row,) = attempt_rows(services.database, payment_id)
        assert (row["status"], row["asks"], gateway.asked_to_charge) == ("pending", 5, 1)
        gateway.look_ups = [Succeeded("ch_1")]
        assert (await attempt(services, payment_id, 1, 6)).outcome == "succeeded"
        assert newest_attempt(services, payment_id)["pending_at"] < newest_attempt(services, payment_id)["finished_at"]

    async def test_it_is_not_stuck_and_the_diagnosis_says_why_it_is_open(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        def count() -> int:
            # All payments are older than tomorrow. This one has a message in the outbox, so it has not stalled.
            tomorrow = services.clock.now() + timedelta(days=1)
            return count_stalled(services.database, tomorrow, tomorrow, 10**6)

        before = count()
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        assert count() == before - 1
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert found.timeline[-1].type == "gateway.attempt_pending"
        services.database.run(_PUBLISH_ALL_BUT_COMMANDS, id=payment_id)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert found.explanation.endswith("The gateway has the charge and has not decided yet; that may take days.")

    async def test_neither_an_open_circuit_nor_failed_look_ups_end_it(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        services.database.run(_OPEN_CIRCUIT)
        try:
            for ask in range(1, 6):
                gateway.look_ups = [UNCLEAR]
                assert (await attempt(services, payment_id, 1, ask)).outcome == "unknown"
            assert services.database.run(_CIRCUIT_FAILURES) == [[7]]
            gateway.look_ups = [Succeeded("ch_1")]
            assert (await attempt(services, payment_id, 1, 6)).outcome == "succeeded"
        finally:
            services.database.run(_CLOSE_CIRCUIT)

    async def test_the_same_question_twice_is_asked_once(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        gateway.look_ups = [Pending(), Pending()]
        await attempt(services, payment_id, 1, 1)
        assert await run_operations(services, [OperationOrder(payment_id, 1, 1)]) == []
        assert len(outbox_rows(services.database, payment_id)) == 4

    async def test_the_sweep_goes_on_with_it(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        gateway.look_ups = [Succeeded("ch_1")]
        # The sweep asks for the attempt after the newest.
        assert (await attempt(services, payment_id, 2)).outcome == "succeeded"
        assert len(attempt_rows(services.database, payment_id)) == 1

    async def test_one_that_the_gateway_has_forgotten_is_charged_with_the_same_key(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        gateway.charges = Succeeded("ch_1")
        assert (await attempt(services, payment_id, 1, 1)).outcome == "succeeded"
        assert len(set(gateway.keys)) == 1


class TestRefusedRepetitions:
    @pytest.mark.parametrize("refusal", [RefusedRequest("422"), RefusedRequest("400"), UnderWay("409")])
    async def test_the_gateway_is_asked_until_the_first_request_is_done(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID, refusal: GatewayAnswer
    ) -> None:
        await use_up_tries(services, payment_id)
        gateway.charges = refusal
        assert (await attempt(services, payment_id, LAST)).outcome == "unknown"
        for ask in range(1, 9):
            assert (await attempt(services, payment_id, LAST, ask)).outcome == "unknown"
        gateway.look_ups = [Succeeded("ch_1")]
        assert (await attempt(services, payment_id, LAST, 9)).outcome == "succeeded"

    async def test_asks_in_quick_succession_say_nothing_about_the_first_request(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        assert isinstance(services.clock, MovableClock)
        services = replace(services, schedule=Schedule((1, 2), (1800,)))
        await attempt(services, payment_id, 1)
        for ask in range(5):
            gateway.look_ups = [RateLimited(1)]
            assert (await attempt(services, payment_id, 2, ask)).outcome == "deferred"
            services.clock.move(1)
        gateway.charges = UnderWay("409")
        assert (await attempt(services, payment_id, 2, 5)).outcome == "unknown"
        services.clock.move(3600)
        assert (await attempt(services, payment_id, 2, 6)).outcome == "failed"

    async def test_a_charge_that_was_pending_never_ends_by_one(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        assert isinstance(services.clock, MovableClock)
        gateway.charges = Pending()
        await attempt(services, payment_id, 1)
        services.clock.move(7200)
        gateway.charges = UnderWay("409")
        assert (await attempt(services, payment_id, 1, 1)).outcome == "unknown"

    async def test_a_first_request_that_is_under_way_is_asked_about(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = UnderWay("409")
        assert (await attempt(services, payment_id, 1)).outcome == "unknown"
        assert_continued(services, payment_id, attempt=1, ask=1, after_seconds=180)


class TestAGatewayThatDoesNotServeUs:
    async def test_a_wrong_address_fails_no_payment(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Unknown(Fault.NOT_SERVED, "the gateway answered 404")
        for number in range(1, LAST + 5):
            assert (await attempt(services, payment_id, number)).outcome == "unknown"
        gateway.charges = Succeeded("ch_1")
        assert (await attempt(services, payment_id, LAST + 5)).outcome == "succeeded"


class TestRateLimits:
    async def test_the_attempt_is_made_again_when_the_gateway_says_so(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = RateLimited(240)
        assert isinstance(services.clock, MovableClock)
        for ask in range(10):
            assert (await attempt(services, payment_id, 1, ask)).outcome == "deferred"
            # The database's clock has not moved.
            assert_continued(services, payment_id, attempt=1, ask=ask + 1, after_seconds=240 - 250 * ask)
            services.clock.move(250)
        gateway.charges, gateway.look_ups = Succeeded("ch_1"), [UNCLEAR]
        assert (await attempt(services, payment_id, 1, 10)).outcome == "succeeded"
        # What was only ever turned away need not be looked up.
        assert gateway.look_ups == [UNCLEAR]

    async def test_a_limit_on_a_later_attempt_keeps_its_look_up(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        await attempt(services, payment_id, 1)
        gateway.charges = RateLimited()
        await attempt(services, payment_id, 2)
        gateway.look_ups = [Succeeded("ch_1")]
        assert (await attempt(services, payment_id, 2, 1)).outcome == "succeeded"
        assert gateway.asked_to_charge == 2


class TestPartialApprovals:
    async def test_the_payment_fails_and_the_money_is_to_be_given_back(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        result = await attempt(services, payment_id, 1)
        assert (result.outcome, result.error) == ("failed", None)
        payment = payment_row(services.database, payment_id)
        assert (payment["status"], payment["failure_code"], payment["captured_minor"]) == (
            "failed",
            "partial_approval",
            0,
        )
        row = newest_attempt(services, payment_id)
        assert (row["status"], row["gateway_id"], row["approved_minor"]) == ("partial", "ch_1", 8040)
        (to_return,) = charges_to_return(services, payment_id)
        assert (to_return["reason"], to_return["amount_minor"]) == ("partial_approval", 8040)
        assert (to_return["currency"], to_return["gateway_id"]) == ("RUB", "ch_1")
        charge, refund = operation_rows(services.database, payment_id)
        assert (charge["kind"], charge["status"], charge["approved_minor"]) == ("charge", "partial", 8040)
        assert (refund["kind"], refund["cause"], refund["status"]) == ("refund", "partial_approval", "accepted")
        assert (refund["amount_minor"], refund["target_gateway_id"]) == (8040, "ch_1")

    async def test_the_ledger_hears_that_money_came_and_went(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        await attempt(services, payment_id, 1)
        taken = ("charge.taken", str(payment_id), 1, "80.40", "partial_approval")
        assert charge_facts(services, payment_id) == [taken]
        _, refund = operation_rows(services.database, payment_id)
        gateway.charges = Succeeded("re_1")
        await run_operations(services, [OperationOrder(payment_id, 1, 0, uuid.UUID(refund["id"]))])
        returned = ("charge.returned", refund["id"], 1, "80.40", "partial_approval")
        assert charge_facts(services, payment_id) == [taken, returned]

    async def test_a_hold_of_a_part_is_no_money_for_the_ledger(
        self, services: EngineServices, gateway: ScriptedGateway
    ) -> None:
        payment_id = new_payment(services.database, new_merchant(services.database), capture="manual")
        gateway.charges = PartlyApproved("au_1", 8040)
        await attempt(services, payment_id, 1)
        _, void = operation_rows(services.database, payment_id)
        gateway.charges = Succeeded("vo_1")
        await run_operations(services, [OperationOrder(payment_id, 1, 0, uuid.UUID(void["id"]))])
        assert charge_facts(services, payment_id) == []

    async def test_merchants_see_the_operations_and_not_the_facts(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        await attempt(services, payment_id, 1)
        payment = get_payment(services.database, None, payment_id)
        assert payment is not None
        timeline = timeline_of(services.database, payment)
        types = [entry.type for entry in timeline]
        assert "gateway.charge_to_return" in types
        assert not [type_ for type_ in types if type_.startswith("charge.")]

    async def test_giving_it_back_changes_nothing_of_the_payment(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        await attempt(services, payment_id, 1)
        before = payment_row(services.database, payment_id)
        _, refund = operation_rows(services.database, payment_id)
        gateway.charges = Succeeded("re_1")
        order = OperationOrder(payment_id, 1, 0, uuid.UUID(refund["id"]))
        (result,) = await run_operations(services, [order, order])
        assert (result.outcome, result.kind) == ("succeeded", "refund")
        assert operation_rows(services.database, payment_id)[1]["status"] == "succeeded"
        assert payment_row(services.database, payment_id) == before
        assert await run_operations(services, [order]) == []

    async def test_a_gateway_that_does_not_take_it_back_is_told(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        await attempt(services, payment_id, 1)
        _, refund = operation_rows(services.database, payment_id)
        gateway.charges = Declined("gateway_rejected", "No.")
        (result,) = await run_operations(services, [OperationOrder(payment_id, 1, 0, uuid.UUID(refund["id"]))])
        assert (result.outcome, result.error) == ("failed", NOT_GIVEN_BACK_ERROR)

    async def test_the_timeline_and_the_diagnosis_show_what_to_give_back(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = PartlyApproved("ch_1", 8040)
        await attempt(services, payment_id, 1)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert [entry.type for entry in found.timeline] == [
            "payment.created",
            "payment.processing",
            "gateway.attempt_started",
            "gateway.attempt_partial",
            "payment.failed",
            "gateway.charge_to_return",
            "operation.accepted",
        ]
        assert found.timeline[3].details["approved"] == "80.40"
        assert found.timeline[-2].details == {
            "gateway_id": "ch_1",
            "reason": "partial_approval",
            "amount": "80.40",
            "currency": "RUB",
        }
        undo = found.timeline[-1].details
        assert (undo["operation"], undo["cause"], undo["amount"]) == ("refund", "partial_approval", "80.40")
        services.database.run(_PUBLISH, id=payment_id)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        taken = "took 80.40 RUB all the same (partial_approval, charge ch_1)"
        assert f"{taken}: the refund {undo['operation_id']} gives it back." in found.explanation
        _, about_undo = (each.explanation for each in found.operations)
        named = f"Refund {undo['operation_id']} (80.40 RUB, partial_approval)"
        assert about_undo.startswith(f"{named} is accepted, and the gateway was not asked yet.")


class TestContradictions:
    async def test_a_person_is_told_and_nothing_settles(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Contradictory("the gateway charged more than was asked for", "ch_1")
        for ask in range(5):
            result = await attempt(services, payment_id, 1, ask)
            assert (result.outcome, result.error) == ("unknown", "the gateway charged more than was asked for")
        row = newest_attempt(services, payment_id)
        assert (row["number"], row["status"], row["gateway_id"]) == (1, "unknown", "ch_1")
        assert payment_row(services.database, payment_id)["status"] == "processing"


class TestGatewayCodes:
    async def test_the_gateways_own_word_is_kept_beside_ours(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        gateway.charges = Declined("expired_card", "Expired card.", "54 Expired Card")
        await attempt(services, payment_id, 1)
        row = newest_attempt(services, payment_id)
        assert (row["failure_code"], row["gateway_code"]) == ("expired_card", "54 Expired Card")
        services.database.run(_PUBLISH, id=payment_id)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert (
            found.explanation == "It failed with expired_card: Expired card. The gateway's own code is 54 Expired Card."
        )
        (ended,) = [entry for entry in found.timeline if entry.type == "gateway.attempt_declined"]
        assert ended.details["gateway_code"] == "54 Expired Card"


class TestInvariants:
    """What the domain never does, the database refuses."""

    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("number = 1001", "operations_number_is_bounded"),
            ("asks = -1", "operations_asks_are_counted"),
            ("asks = 1, asked_at = NULL", "operations_asks_are_counted"),
            ("status = 'odd'", "operations_status_is_known"),
            ("status = 'accepted'", "operations_transition_is_legal"),
            ("number = 0", "operations_accepted_is_unasked"),
            ("started_at = NULL", "operations_attempt_has_a_time"),
            ("status = 'pending', pending_at = NULL", "operations_pending_has_a_time"),
            ("status = 'succeeded', gateway_id = NULL", "operations_success_has_proof"),
            ("status = 'declined'", "operations_failure_has_a_code"),
            ("status = 'partial', gateway_id = 'ch_1'", "operations_part_is_named"),
            ("status = 'partial', gateway_id = 'ch_1', approved_minor = 0", "operations_part_is_named"),
            ("status = 'partial', gateway_id = 'ch_1', approved_minor = amount_minor", "operations_part_is_named"),
            ("approved_minor = 5", "operations_part_is_named"),
            ("status = 'reversed', gateway_id = 'ch_1', failure_code = 'x'", "operations_only_refunds_are_reversed"),
            ("kind = 'refund'", "operations_first_has_the_payments_id"),
            ("cause = 'theft'", "operations_cause_is_known"),
            ("amount_minor = 0", "operations_amount_is_positive"),
        ],
    )
    async def test_an_operation(
        self, services: EngineServices, payment_id: uuid.UUID, change: str, constraint: str
    ) -> None:
        await attempt(services, payment_id, 1)
        with pytest.raises(ConstraintViolated) as caught:
            update = f"UPDATE operations SET {change} WHERE id = :id::uuid"  # noqa: S608 - the test's own
            services.database.run(Statement(update), id=payment_id)
        assert caught.value.constraint == constraint

    @pytest.mark.parametrize(
        ("change", "constraint"),
        [
            ("number = 1001", "operation_attempts_number_check"),
            ("status = 'started'", "operation_attempts_status_is_known"),
            ("status = 'succeeded'", "operation_attempts_success_has_proof"),
            ("status = 'partial', gateway_id = 'ch_1'", "operation_attempts_part_is_named"),
            ("approved_minor = 5", "operation_attempts_part_is_named"),
            ("gateway_code = repeat('x', 65)", "operation_attempts_gateway_code_check"),
            ("gateway_code = ''", "operation_attempts_gateway_code_check"),
        ],
    )
    async def test_an_attempt(
        self, services: EngineServices, payment_id: uuid.UUID, change: str, constraint: str
    ) -> None:
        await attempt(services, payment_id, 1)
        await attempt(services, payment_id, 2)
        with pytest.raises(ConstraintViolated) as caught:
            update = f"UPDATE operation_attempts SET {change} WHERE operation_id = :id::uuid"  # noqa: S608 - the test's
            services.database.run(Statement(update), id=payment_id)
        assert caught.value.constraint == constraint

    def test_nothing_is_given_back_that_is_no_amount(self, services: EngineServices, payment_id: uuid.UUID) -> None:
        (started,) = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts
        nothing = ChargeToReturn(started.operation, started.payment, "ch_1", ReturnReason.CHARGED_LATE, 0)
        with (
            pytest.raises(ConstraintViolated, match="charges_to_return_amount_is_positive"),
            services.database.transaction() as transaction,
        ):
            add_charges_to_return(transaction, [nothing], services.clock.now())


class TestChargedTooLate:
    async def test_the_answer_of_a_canceled_authorization_again_is_no_new_one(
        self, services: EngineServices, gateway: ScriptedGateway
    ) -> None:
        payment_id = new_payment(services.database, new_merchant(services.database), capture="manual")
        (started,) = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts
        answered = AnsweredAttempt(started, Succeeded("au_1"))
        record_answers(services, [answered], GatewayWatch())
        services.database.run(Statement("UPDATE payments SET status = 'canceled' WHERE id = :id::uuid"), id=payment_id)
        (again,) = record_answers(services, [answered], GatewayWatch())
        assert again.error is None
        assert charges_to_return(services, payment_id) == []
        assert len(operation_rows(services.database, payment_id)) == 1

    @pytest.mark.parametrize(("answer", "minor"), [(Succeeded("ch_late"), 10050), (PartlyApproved("ch_late", 7), 7)])
    async def test_a_charge_of_a_payment_that_was_given_up_is_reported_once(
        self,
        services: EngineServices,
        gateway: ScriptedGateway,
        payment_id: uuid.UUID,
        answer: Succeeded | PartlyApproved,
        minor: int,
    ) -> None:
        batch = start_attempts(services, [OperationOrder(payment_id, 1)], watch := GatewayWatch())
        assert isinstance(services.clock, MovableClock)
        services.clock.move(11)
        gateway.charges = Declined("card_declined", "Card declined.")
        assert (await attempt(services, payment_id, 2)).outcome == "failed"
        late = AnsweredAttempt(batch.attempts[0], answer)
        (result,) = record_answers(services, [late], watch)
        assert result.outcome == "charged_too_late"
        assert "the money is given back" in str(result.error)
        (to_return,) = charges_to_return(services, payment_id)
        assert (to_return["reason"], to_return["amount_minor"]) == ("charged_late", minor)
        (again,) = record_answers(services, [late], watch)
        assert (again.outcome, again.error) == ("unknown", None)
        amount = format_places(minor, 2)
        assert charge_facts(services, payment_id) == [("charge.taken", str(payment_id), 1, amount, "late")]
        second = AnsweredAttempt(batch.attempts[0], replace(answer, gateway_id="ch_second"))
        record_answers(services, [second], watch)
        second_fact = ("charge.taken", str(payment_id), 2, amount, "duplicate")
        assert charge_facts(services, payment_id)[1:] == [second_fact]
        refunds = operation_rows(services.database, payment_id)[1:]
        assert sorted(row["target_gateway_id"] for row in refunds) == ["ch_late", "ch_second"]

    async def test_a_part_that_failed_its_payment_is_not_late(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        batch = start_attempts(services, [OperationOrder(payment_id, 1)], watch := GatewayWatch())
        assert isinstance(services.clock, MovableClock)
        services.clock.move(11)
        gateway.charges = PartlyApproved("ch_1", 7)
        assert (await attempt(services, payment_id, 2)).outcome == "failed"
        (result,) = record_answers(services, [AnsweredAttempt(batch.attempts[0], PartlyApproved("ch_1", 7))], watch)
        assert (result.outcome, result.error) == ("unknown", None)
        (to_return,) = charges_to_return(services, payment_id)
        assert to_return["reason"] == "partial_approval"

    async def test_a_charge_that_was_recorded_before_is_no_error(
        self, services: EngineServices, payment_id: uuid.UUID
    ) -> None:
        batch = start_attempts(services, [OperationOrder(payment_id, 1)], watch := GatewayWatch())
        answered = AnsweredAttempt(batch.attempts[0], Succeeded("ch_1"))
        (first,) = record_answers(services, [answered], watch)
        (second,) = record_answers(services, [answered], watch)
        assert (first.outcome, second.outcome, second.error) == ("succeeded", "unknown", None)


class TestIllegalTransitions:
    async def test_an_answer_that_the_state_machine_refuses_is_reported_alone(self, services: EngineServices) -> None:
        merchant_id = new_merchant(services.database)
        ids = [new_payment(services.database, merchant_id) for _ in range(2)]
        batch = start_attempts(services, [OperationOrder(id_, 1) for id_ in ids], watch := GatewayWatch())
        bad, good = batch.attempts
        bad = replace(bad, payment=replace(bad.payment, status=Status.CANCELED))
        answers = [AnsweredAttempt(each, Succeeded("ch_1")) for each in (bad, good)]
        results = {result.payment_id: result for result in record_answers(services, answers, watch)}
        assert results[good.payment.id].outcome == "succeeded"
        assert results[bad.payment.id].outcome == "refused"
        assert results[bad.payment.id].error == "A payment cannot go from canceled to succeeded."
        assert payment_row(services.database, bad.payment.id)["status"] == "processing"
        # The evidence of the charge is kept.
        (attempt,) = attempt_rows(services.database, bad.payment.id)
        assert (attempt["status"], attempt["gateway_id"]) == ("succeeded", "ch_1")


class TestOneBadOutcome:
    async def test_the_others_are_recorded_and_the_bad_one_stays_open(
        self, services: EngineServices, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(services.database)
        bad, *good = [new_payment(services.database, merchant_id) for _ in range(5)]
        gateway.charges = Succeeded("ch_1")
        # PostgreSQL accepts no NUL in text, so the statement of the whole group fails.
        gateway.by_payment[bad] = Succeeded("ch_\x00")
        results = await run_operations(services, [OperationOrder(id_, 1) for id_ in [bad, *good]])
        outcomes = {result.payment_id: result.outcome for result in results}
        assert outcomes == {bad: "refused", **dict.fromkeys(good, "succeeded")}
        assert next(result.error for result in results if result.payment_id == bad)
        assert payment_row(services.database, bad)["status"] == "processing"
        assert attempt_rows(services.database, bad)[0]["status"] == "started"

    async def test_an_unforeseen_failure_of_one_call_costs_that_payment_a_try(
        self, services: EngineServices, gateway: ScriptedGateway
    ) -> None:
        merchant_id = new_merchant(services.database)
        bad, *good = [new_payment(services.database, merchant_id) for _ in range(5)]
        gateway.charges, gateway.breaking = Succeeded("ch_1"), {bad}
        results = await run_operations(services, [OperationOrder(id_, 1) for id_ in [bad, *good]])
        outcomes = {result.payment_id: result.outcome for result in results}
        assert outcomes == {bad: "unknown", **dict.fromkeys(good, "succeeded")}

    async def test_a_database_that_takes_no_writes_returns_the_whole_batch(
        self, services: EngineServices, gateway: ScriptedGateway, payment_id: uuid.UUID
    ) -> None:
        # As on a server that a failover turned into a replica.
        services.database.run(Statement("SET default_transaction_read_only = on"))
        with pytest.raises(DatabaseUnavailable):
            await attempt(services, payment_id, 1)
        gateway.charges = Succeeded("ch_1")
        assert (await attempt(services, payment_id, 1)).outcome == "succeeded"
