"""What the gateway does after a charge or a refund has ended is found, recorded and told."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.locks import PATIENCE_SECONDS, held, patient_database
from local.testkit.payments import (
    MovableClock,
    new_merchant,
    new_payment,
    operation_rows,
    outbox_rows,
    payment_row,
    rows,
)
from paybridge.core.errors import ConstraintViolated
from paybridge.core.events import FIND_LATE_CHANGE, PROCESS_PAYMENT, Event, parse_envelope
from paybridge.core.ids import Uuid7Ids
from paybridge.database import counters
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments import find_late_changes as finding
from paybridge.payments.accept_notice import accept_notice
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
    Succeeded,
    Unknown,
)
from paybridge.payments.domain.notice import Claim, GatewayNotice
from paybridge.payments.find_late_changes import LateCheck, find_late_changes, record, take
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices, OperationOrder, PaymentResult
from paybridge.payments.run_operations import run_operations
from paybridge.payments.store.late_checks import SENT_SECONDS
from paybridge.payments.sweep import send_late_checks
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder
from paybridge.runners.consumer import order_of

pytestmark = pytest.mark.integration

THREADS = 20
AGES = (60.0, 600.0)
REFUND_AGES = (3600.0, 86400.0)
# How far apart two readings of the clock in one test may be on a busy machine.
STALL_SECONDS_MAX = 50.0
_DUE = Statement("UPDATE late_checks SET ask_at = now() WHERE payment_id = :id::uuid")
_SENT = Statement(
    "UPDATE late_checks SET ask_at = now() + interval '5 minutes', is_sent = true WHERE payment_id = :id::uuid"
)
_SENT_OPERATION = Statement("""
    UPDATE late_checks SET ask_at = now() + interval '5 minutes', is_sent = true WHERE operation_id = :id::uuid
""")
_END = Statement("DELETE FROM late_checks WHERE payment_id = :id::uuid")
_OLD_PLAN = Statement("""
    INSERT INTO late_charge_checks (payment_id, merchant_id, correlation_id, given_up_at, ask_at)
    SELECT id, merchant_id, correlation_id, now(), now() FROM payments WHERE id = :id::uuid
""")
_OLD_CHECKS = "SELECT to_json(c) FROM late_charge_checks c WHERE payment_id = :id::uuid"
_ORDER_REFUND = Statement("""
    WITH reserved AS (
        UPDATE payments SET refunding_minor = refunding_minor + :amount_minor::bigint, version = version + 1
        WHERE id = :payment_id::uuid RETURNING *
    )
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, correlation_id,
                            last_sequence, created_at, updated_at)
    SELECT :id::uuid, id, merchant_id, 'refund', gateway, :amount_minor::bigint, 'accepted', correlation_id, 1, now(),
           now()
    FROM reserved
""")
_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid AND type <> :type::text")


@dataclass
class LateGateway:
    """A gateway that answers nothing unless the test says so, and looks up what the test says."""

    found: LookUpAnswer = field(default_factory=NotFound)
    answer: GatewayAnswer = field(default_factory=lambda: Unknown(Fault.NO_ANSWER, "no answer"))
    breaking: set[uuid.UUID] = field(default_factory=set)
    sent: list[GatewayRequest] = field(default_factory=list)
    look_ups: int = 0

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        self.sent.append(request)
        return self.answer

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        self.look_ups += 1
        if request.payment_id in self.breaking:
            raise RuntimeError("an unforeseen failure")
        return self.found

    async def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def gateway() -> LateGateway:
    return LateGateway()


@pytest.fixture
def patient_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `record` wait for as long as the machine holds up those before it in the queue for a row."""
    monkeypatch.setattr(finding, "BATCH_LOCK_SECONDS_MAX", PATIENCE_SECONDS)


@pytest.fixture
def services(database_address: DatabaseAddress, gateway: LateGateway) -> Iterator[EngineServices]:
    with closing(Database(database_address)) as database:
        yield EngineServices(
            database=database,
            gateways={"default": gateway},
            clock=MovableClock(),
            ids=Uuid7Ids(),
            schedule=Schedule((), ()),
            lease_seconds=10,
            late_charge_ages_seconds=AGES,
            circuit_policy=CircuitPolicy(1000, 5),
            authorization_seconds=604800,
            refund_check_ages_seconds=REFUND_AGES,
        )


async def given_up(services: EngineServices, **order: Any) -> uuid.UUID:
    """Return a payment that failed because the gateway never answered."""
    payment_id = new_payment(services.database, new_merchant(services.database), **order)
    (result,) = await run_operations(services, [OperationOrder(payment_id, 1)])
    assert result.outcome == "failed"
    return payment_id


async def to_check(services: EngineServices) -> uuid.UUID:
    """A payment that was given up, and whose check was sent."""
    payment_id = await given_up(services)
    services.database.run(_SENT, id=payment_id)
    return payment_id


async def charged(services: EngineServices, gateway: LateGateway) -> uuid.UUID:
    """Return a payment of 100.50 RUB that has succeeded."""
    payment_id = new_payment(services.database, new_merchant(services.database))
    gateway.answer = Succeeded(f"ch_{payment_id}")
    await run_operations(services, [OperationOrder(payment_id, 1)])
    assert payment_row(services.database, payment_id)["status"] == "succeeded"
    return payment_id


def order_refund(services: EngineServices, payment_id: uuid.UUID, amount_minor: int) -> uuid.UUID:
    refund_id = services.ids.new()
    services.database.run(_ORDER_REFUND, id=refund_id, payment_id=payment_id, amount_minor=amount_minor)
    return refund_id


async def refund(services: EngineServices, gateway: LateGateway, payment_id: uuid.UUID, amount_minor: int) -> uuid.UUID:
    refund_id = order_refund(services, payment_id, amount_minor)
    gateway.answer = Succeeded(f"re_{refund_id}")
    (result,) = await run_operations(services, [OperationOrder(payment_id, 1, operation_id=refund_id)])
    assert result.outcome == "succeeded"
    return refund_id


async def refunded(
    services: EngineServices, gateway: LateGateway, amounts: list[int]
) -> tuple[uuid.UUID, list[uuid.UUID]]:
    """Return a payment and its refunds of these amounts, which have succeeded."""
    payment_id = await charged(services, gateway)
    return payment_id, [await refund(services, gateway, payment_id, amount) for amount in amounts]


async def refund_given_up(
    services: EngineServices, gateway: LateGateway, amount_minor: int
) -> tuple[uuid.UUID, uuid.UUID]:
    """Return a payment and a refund of it that failed because the gateway never answered."""
    payment_id = await charged(services, gateway)
    refund_id = order_refund(services, payment_id, amount_minor)
    gateway.answer, gateway.found = Unknown(Fault.NO_ANSWER, "no answer"), NotFound()
    (result,) = await run_operations(services, [OperationOrder(payment_id, 1, operation_id=refund_id)])
    assert result.outcome == "failed"
    (check,) = checks(services, payment_id)
    assert is_planned_for(check, AGES[0])
    return payment_id, refund_id


async def find(
    services: EngineServices, gateway: LateGateway, operation_id: uuid.UUID, answer: LookUpAnswer
) -> list[PaymentResult]:
    services.database.run(_SENT_OPERATION, id=operation_id)
    gateway.found = answer
    return await find_late_changes(services, [operation_id])


async def take_back(services: EngineServices, gateway: LateGateway, refund_ids: list[uuid.UUID]) -> list[PaymentResult]:
    for id_ in refund_ids:
        services.database.run(_SENT_OPERATION, id=id_)
    gateway.found = Declined("refund_reversed", "Taken back.")
    return await find_late_changes(services, refund_ids)


def taken(services: EngineServices, operation_id: uuid.UUID) -> list[LateCheck]:
    """Take the check of an operation, as a process does that may die before it records the answer."""
    return take(services, [operation_id]).checks


def messages(services: EngineServices, payment_id: uuid.UUID, type_: str) -> list[Event]:
    found = [row for row in outbox_rows(services.database, payment_id) if row["type"] == type_]
    return [parse_envelope(orjson.loads(row["body"])) for row in found]


async def run(services: EngineServices, events: list[Event]) -> None:
    for event in events:
        await run_operations(services, [order_of(event)])


async def deliver(services: EngineServices, events: list[Event]) -> None:
    for event in events:
        await find_late_changes(services, [uuid.UUID(event.data["operation_id"])])


def events(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    found = [row for row in outbox_rows(services.database, payment_id) if row["sequence"] is not None]
    return [orjson.loads(row["body"]) for row in found]


def event_types(services: EngineServices, payment_id: uuid.UUID) -> list[str]:
    return [event["type"] for event in events(services, payment_id)]


def later_operations(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return [row for row in operation_rows(services.database, payment_id) if row["id"] != str(payment_id)]


def look(services: EngineServices, payment_id: uuid.UUID) -> list[Any]:
    """Everything on record about the payment."""
    return [
        payment_row(services.database, payment_id),
        later_operations(services, payment_id),
        outbox_rows(services.database, payment_id),
        rows(services.database, "SELECT to_json(c) FROM late_checks c WHERE payment_id = :id::uuid", id=payment_id),
    ]


def move(services: EngineServices, seconds: float) -> None:
    assert isinstance(services.clock, MovableClock)
    services.clock.move(seconds)


def checks(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    sql = """
        SELECT json_build_object('asks', asks, 'due_seconds', extract(epoch FROM ask_at - now()),
                                 'age_seconds', extract(epoch FROM ask_at - ended_at))
        FROM late_checks WHERE payment_id = :id::uuid
    """
    return rows(services.database, sql, id=payment_id)


def is_planned_for(check: dict[str, Any], age_seconds: float) -> bool:
    """Return whether the first look-up of the operation is scheduled for when it is this old."""
    # The database reads the time itself, which may be seconds later on a busy machine.
    return abs(check["age_seconds"] - age_seconds) < STALL_SECONDS_MAX


def to_return(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(
        services.database, "SELECT to_json(c) FROM charges_to_return c WHERE payment_id = :id::uuid", id=payment_id
    )


def commands(services: EngineServices, payment_id: uuid.UUID) -> int:
    return sum(row["type"] == FIND_LATE_CHANGE for row in outbox_rows(services.database, payment_id))


class TestGivenUp:
    async def test_the_first_look_up_is_planned_with_the_failure(self, services: EngineServices) -> None:
        payment_id = await given_up(services)
        (check,) = checks(services, payment_id)
        assert check["asks"] == 0
        assert is_planned_for(check, AGES[0])
        assert commands(services, payment_id) == 0

    async def test_a_decline_is_not_asked_about(self, services: EngineServices, gateway: LateGateway) -> None:
        gateway.found = Declined("card_declined", "Card declined.")
        payment_id = new_payment(services.database, new_merchant(services.database))
        await run_operations(services, [OperationOrder(payment_id, 1)])
        assert (checks(services, payment_id), commands(services, payment_id)) == ([], 0)


class TestLateCharges:
    @pytest.mark.parametrize(("found", "minor"), [(Succeeded("ch_9"), 10050), (PartlyApproved("ch_9", 7), 7)])
    async def test_a_late_charge_is_told_and_recorded_once(
        self, services: EngineServices, gateway: LateGateway, found: LookUpAnswer, minor: int
    ) -> None:
        payment_id = await to_check(services)
        gateway.found = found
        (result,) = await find_late_changes(services, [payment_id])
        assert (result.outcome, f"{minor} minor units of RUB are given back" in str(result.error)) == (
            "charged_too_late",
            True,
        )
        (charge,) = to_return(services, payment_id)
        assert (charge["reason"], charge["gateway_id"], charge["amount_minor"]) == ("charged_late", "ch_9", minor)
        assert await find_late_changes(services, [payment_id]) == []
        assert checks(services, payment_id) == []
        # The merchant was told that it failed, so it stays failed.
        assert payment_row(services.database, payment_id)["status"] == "failed"

    async def test_the_timeline_and_the_diagnosis_show_it(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id = await given_up(services)
        services.database.run(_PUBLISH, id=payment_id, type=FIND_LATE_CHANGE)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert found.explanation.startswith("It failed with gateway_timeout")
        assert "s whether it charged late." in found.explanation
        services.database.run(_SENT, id=payment_id)
        gateway.found = Succeeded("ch_9")
        await find_late_changes(services, [payment_id])
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        to_return, undo = found.timeline[-2:]
        assert (to_return.type, to_return.details["amount"]) == ("gateway.charge_to_return", "100.50")
        assert (undo.type, undo.details["operation"], undo.details["cause"]) == (
            "operation.accepted",
            "refund",
            "charged_late",
        )
        taken = "took 100.50 RUB all the same (charged_late, charge ch_9)"
        assert f"{taken}: the refund {undo.details['operation_id']} gives it back." in found.explanation

    async def test_it_is_asked_again_at_the_next_age_and_then_no_more(self, services: EngineServices) -> None:
        payment_id = await given_up(services)
        move(services, 61)
        services.database.run(_SENT, id=payment_id)
        assert await find_late_changes(services, [payment_id]) == []
        (check,) = checks(services, payment_id)
        assert check["asks"] == 1
        assert AGES[1] - 61 - STALL_SECONDS_MAX <= check["due_seconds"] <= AGES[1] - 61
        move(services, 600)
        services.database.run(_SENT, id=payment_id)
        assert await find_late_changes(services, [payment_id]) == []
        assert checks(services, payment_id) == []

    async def test_a_check_that_was_not_sent_is_left_alone(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await given_up(services)
        before = gateway.look_ups
        assert await find_late_changes(services, [payment_id, payment_id, uuid.uuid4()]) == []
        assert gateway.look_ups == before

    async def test_a_check_that_another_process_has_taken_is_its_own_for_the_lease(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await to_check(services)
        (check,) = taken(services, payment_id)
        before = gateway.look_ups
        assert await find_late_changes(services, [payment_id]) == []
        assert gateway.look_ups == before
        # Two processes have found the same charge: the second one after the lease of the first.
        assert len(record(services, [(check, Succeeded("ch_9"))])) == 1
        assert record(services, [(check, Succeeded("ch_9"))]) == []

    async def test_one_unforeseen_failure_keeps_its_check_and_fails_no_other(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        bad, good = await given_up(services), await given_up(services)
        for payment_id in (bad, good):
            services.database.run(_SENT, id=payment_id)
        gateway.found, gateway.breaking = Succeeded("ch_9"), {bad}
        (result,) = await find_late_changes(services, [bad, good])
        assert result.payment_id == good
        assert len(checks(services, bad)) == 1

    async def test_a_check_whose_row_is_locked_is_left_to_the_sweep(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await to_check(services)
        found = taken(services, payment_id)
        lock = "SELECT FROM late_checks WHERE payment_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=payment_id):
            assert record(services, [(check, NotFound()) for check in found]) == []
        assert len(checks(services, payment_id)) == 1

    async def test_a_charge_of_another_amount_is_told_and_asked_for_again(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await to_check(services)
        gateway.found = Contradictory("the gateway charged more than was asked for", "ch_9")
        (result,) = await find_late_changes(services, [payment_id])
        assert result.error == "the gateway charged more than was asked for"
        assert len(checks(services, payment_id)) == 1


class TestGivenBack:
    async def test_a_late_charge_is_given_back_by_an_operation_that_undoes_it(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await to_check(services)
        gateway.found = Succeeded("ch_9")
        await find_late_changes(services, [payment_id])
        (undo,) = later_operations(services, payment_id)
        assert (undo["kind"], undo["cause"], undo["amount_minor"], undo["target_gateway_id"], undo["status"]) == (
            "refund",
            "charged_late",
            10050,
            "ch_9",
            "accepted",
        )
        gateway.answer = Succeeded("re_9")
        await run(services, messages(services, payment_id, PROCESS_PAYMENT))
        (undo,) = later_operations(services, payment_id)
        assert (undo["status"], gateway.sent[-1].target_gateway_id) == ("succeeded", "ch_9")
        # It is no refund of the merchant's, and changes nothing of the failed payment.
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["refunded_minor"], row["captured_minor"]) == ("failed", 0, 0)
        assert not any(type_.startswith("refund.") for type_ in event_types(services, payment_id))

    async def test_two_processes_that_find_it_give_it_back_once(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await to_check(services)
        (check,) = taken(services, payment_id)
        assert len(record(services, [(check, Succeeded("ch_9"))])) == 1
        # A second process had taken the check after the lease of the first.
        assert record(services, [(check, Succeeded("ch_9"))]) == []
        assert len(later_operations(services, payment_id)) == 1

    async def test_late_charges_of_one_payment_are_numbered_also_within_a_batch(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, other_id = await to_check(services), await to_check(services)
        (check,), (other,) = taken(services, payment_id), taken(services, other_id)
        answers = [(check, Succeeded("ch_1")), (other, Succeeded("ch_2")), (check, Succeeded("ch_3"))]
        record(services, [*answers, answers[0]])
        record(services, [(check, Succeeded("ch_4")), answers[2]])
        facts = [event for event in events(services, payment_id) if event["type"] == "charge.taken"]
        assert [(int(each["sequence"]), each["data"]["reason"]) for each in facts] == [
            (1, "late"),
            (2, "duplicate"),
            (3, "duplicate"),
        ]
        (fact,) = [event for event in events(services, other_id) if event["type"] == "charge.taken"]
        assert int(fact["sequence"]) == 1

    @pytest.mark.usefixtures("patient_batches")
    async def test_late_charges_that_two_processes_find_at_once_are_numbered_apart(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await to_check(services)
        (check,) = taken(services, payment_id)
        barrier = threading.Barrier(4)

        def find_it(name: str) -> None:
            with closing(patient_database(database_address)) as own:
                barrier.wait()
                record(replace(services, database=own), [(check, Succeeded(name))])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(find_it, ("ch_1", "ch_2", "ch_3", "ch_4")))
        facts = [event for event in events(services, payment_id) if event["type"] == "charge.taken"]
        assert sorted(int(each["sequence"]) for each in facts) == [1, 2, 3, 4]

    async def test_a_late_authorization_is_released(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id = await given_up(services, capture="manual")
        services.database.run(_SENT, id=payment_id)
        gateway.found = Succeeded("au_9")
        await find_late_changes(services, [payment_id])
        (undo,) = later_operations(services, payment_id)
        assert (undo["kind"], undo["cause"], undo["target_gateway_id"]) == ("void", "charged_late", "au_9")

    async def test_giving_back_is_never_given_up(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id = await to_check(services)
        gateway.found = Succeeded("ch_9")
        await find_late_changes(services, [payment_id])
        gateway.found = NotFound()
        for _ in range(5):
            await run(services, messages(services, payment_id, PROCESS_PAYMENT)[-1:])
        (undo,) = later_operations(services, payment_id)
        assert (undo["status"], undo["number"]) == ("unknown", 5)


class TestTakenBack:
    @pytest.mark.parametrize(
        ("amounts", "before", "after", "left_minor"),
        [
            ([10050], "refunded", "succeeded", 0),
            ([50, 10000], "refunded", "partially_refunded", 10000),
            ([50, 100], "partially_refunded", "partially_refunded", 100),
            ([50], "partially_refunded", "succeeded", 0),
        ],
    )
    async def test_the_first_refund_fails_and_the_payment_follows(
        self,
        services: EngineServices,
        gateway: LateGateway,
        amounts: list[int],
        before: str,
        after: str,
        left_minor: int,
    ) -> None:
        payment_id, refund_ids = await refunded(services, gateway, amounts)
        assert payment_row(services.database, payment_id)["status"] == before
        version = payment_row(services.database, payment_id)["version"]
        (result,) = await take_back(services, gateway, refund_ids[:1])
        assert (result.outcome, result.error) == ("refund_taken_back", None)
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["refunded_minor"], row["version"]) == (after, left_minor, version + 1)
        by_kind = {
            row["kind"]: row
            for row in later_operations(services, payment_id)
            if row["id"] not in map(str, refund_ids[1:])
        }
        refund, reversal = by_kind["refund"], by_kind["refund_reversal"]
        assert (refund["status"], refund["failure_code"]) == ("reversed", "refund_reversed")
        assert (reversal["amount_minor"], reversal["status"], reversal["target_gateway_id"]) == (
            amounts[0],
            "succeeded",
            refund["gateway_id"],
        )

    async def test_merchant_and_subscribers_are_told_once(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [10050])
        before = len(event_types(services, payment_id))
        counted = counters.read(services.database)
        await take_back(services, gateway, [refund_id])
        now_counted = counters.read(services.database)
        assert now_counted["refund.failed"] == counted.get("refund.failed", 0) + 1
        # It settled once.
        assert now_counted["payment.succeeded"] == counted["payment.succeeded"]
        failed, moved = events(services, payment_id)[before:]
        assert (failed["type"], failed["subject"], failed["data"]["status"], failed["data"]["failure_code"]) == (
            "refund.failed",
            str(refund_id),
            "failed",
            "refund_reversed",
        )
        assert (failed["sequence"], moved["type"], moved["data"]["status"]) == (
            "0000000003",
            "payment.succeeded",
            "succeeded",
        )
        assert moved["data"]["amount_refunded"] == "0.00"
        assert failed["data"]["taken_back"] is True
        assert moved["data"]["operation"] is None
        assert await take_back(services, gateway, [refund_id]) == []
        assert len(event_types(services, payment_id)) == before + 2

    async def test_two_refunds_of_a_payment_are_taken_back_together(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, refund_ids = await refunded(services, gateway, [50, 10000])
        assert len(await take_back(services, gateway, refund_ids)) == 2
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["refunded_minor"]) == ("succeeded", 0)
        assert event_types(services, payment_id).count("payment.succeeded") == 2

    async def test_a_refund_that_stands_is_asked_about_at_growing_ages_and_then_no_more(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [50])
        (check,) = checks(services, payment_id)
        assert is_planned_for(check, REFUND_AGES[0])
        for age in REFUND_AGES:
            assert len(checks(services, payment_id)) == 1
            move(services, age)
            services.database.run(_SENT, id=payment_id)
            gateway.found = Succeeded("re_50")
            assert await find_late_changes(services, [refund_id]) == []
        assert checks(services, payment_id) == []
        assert payment_row(services.database, payment_id)["refunded_minor"] == 50

    async def test_what_had_been_given_back_for_a_failed_payment_is_told_to_a_person(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await to_check(services)
        gateway.found = Succeeded("ch_9")
        await find_late_changes(services, [payment_id])
        gateway.answer = Succeeded("re_9")
        await run(services, messages(services, payment_id, PROCESS_PAYMENT))
        (undo,) = later_operations(services, payment_id)
        before = payment_row(services.database, payment_id)
        (result,) = await take_back(services, gateway, [uuid.UUID(undo["id"])])
        assert "give it back again" in str(result.error)
        assert payment_row(services.database, payment_id) == before
        assert not any(type_.startswith("refund.") for type_ in event_types(services, payment_id))
        # The ledger hears that the money came, went, and came again.
        facts = [row for row in outbox_rows(services.database, payment_id) if row["subject_type"] == "operation"]
        reversal = later_operations(services, payment_id)[-1]
        assert reversal["kind"] == "refund_reversal"
        assert [(row["type"], row["subject_id"], row["sequence"]) for row in facts] == [
            ("charge.taken", str(payment_id), 1),
            ("charge.returned", undo["id"], 1),
            ("charge.taken", reversal["id"], 1),
        ]
        data = [json.loads(row["body"])["data"] for row in facts]
        assert {(each["amount"], each["currency"], each["reason"]) for each in data} == {("100.50", "RUB", "late")}

    async def test_two_processes_take_it_back_once(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [50])
        services.database.run(_SENT, id=payment_id)
        (check,) = taken(services, refund_id)
        declined = Declined("refund_reversed", "Taken back.")
        assert len(record(services, [(check, declined)])) == 1
        assert record(services, [(check, declined)]) == []
        assert len(later_operations(services, payment_id)) == 2

    async def test_a_process_that_dies_leaves_all_of_it_or_nothing(
        self, services: EngineServices, gateway: LateGateway, database_address: DatabaseAddress
    ) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [50])
        services.database.run(_SENT, id=payment_id)
        (check,) = taken(services, refund_id)

        def act(database: Database) -> None:
            record(replace(services, database=database), [(check, Declined("refund_reversed", "Taken back."))])

        assert die_at_every_step(database_address, act, lambda: look(services, payment_id)) >= 5
        assert payment_row(services.database, payment_id)["status"] == "succeeded"


@pytest.mark.usefixtures("patient_batches")
class TestAtOnce:
    @pytest.mark.parametrize("round_", range(5))
    async def test_a_reversal_races_new_refunds_and_itself(
        self, services: EngineServices, gateway: LateGateway, database_address: DatabaseAddress, round_: int
    ) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [10050])
        merchant_id = uuid.UUID(payment_row(services.database, payment_id)["merchant_id"])
        services.database.run(_SENT_OPERATION, id=refund_id)
        (check,) = taken(services, refund_id)
        barrier = threading.Barrier(THREADS)

        def reverse(database: Database, _: int) -> int:
            answer = check, Declined("refund_reversed", "Taken back.")
            return sum(
                result.outcome == "refund_taken_back"
                for result in record(replace(services, database=database), [answer])
            )

        def order(database: Database, number: int) -> int:
            request = IdempotentRequest(f"refund-{number}", bytes(32))
            outcome = create_refund(
                database,
                services.clock,
                Uuid7Ids(),
                keyed=Keyed(merchant_id, refund_operation(payment_id), request),
                payment_id=payment_id,
                order=RefundOrder(amount="60.00"),
                correlation_id="c",
            )
            return isinstance(outcome, Answered)

        acts = [order if number % 2 == round_ % 2 else reverse for number in range(THREADS)]

        def act(number: int) -> int:
            with closing(patient_database(database_address)) as database:
                barrier.wait()
                return acts[number](database, number)

        with ThreadPoolExecutor(THREADS) as threads:
            done = list(threads.map(act, range(THREADS)))
        reversed_count = sum(count for count, each in zip(done, acts, strict=True) if each is reverse)
        ordered_count = sum(count for count, each in zip(done, acts, strict=True) if each is order)
        assert reversed_count == 1
        assert ordered_count <= 1
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["refunded_minor"], row["refunding_minor"]) == ("succeeded", 0, 6000 * ordered_count)
        assert event_types(services, payment_id).count("refund.failed") == 1

    async def test_two_processes_that_find_a_late_refund_record_it_once(
        self, services: EngineServices, gateway: LateGateway, database_address: DatabaseAddress
    ) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 50)
        services.database.run(_SENT_OPERATION, id=given_up_id)
        (check,) = taken(services, given_up_id)
        barrier = threading.Barrier(THREADS)

        def act(_: int) -> int:
            with closing(patient_database(database_address)) as database:
                barrier.wait()
                return len(record(replace(services, database=database), [(check, Succeeded("re_late"))]))

        with ThreadPoolExecutor(THREADS) as threads:
            assert sum(threads.map(act, range(THREADS))) == 1
        assert payment_row(services.database, payment_id)["refunded_minor"] == 50


class TestRefundedLate:
    async def test_it_is_recorded_as_a_refund_of_its_own(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 50)
        before = len(event_types(services, payment_id))
        (result,) = await find(services, gateway, given_up_id, Succeeded("re_late"))
        assert (result.outcome, result.error) == ("refunded_too_late", None)
        row = payment_row(services.database, payment_id)
        assert (row["status"], row["refunded_minor"], row["refunding_minor"]) == ("partially_refunded", 50, 0)
        first, second = later_operations(services, payment_id)
        assert (first["id"], first["status"], first["cause"]) == (str(given_up_id), "declined", "merchant")
        assert (second["kind"], second["status"], second["cause"], second["gateway_id"]) == (
            "refund",
            "succeeded",
            "gateway",
            "re_late",
        )
        told = events(services, payment_id)[before:]
        assert [(event["type"], event["sequence"]) for event in told] == [
            ("refund.created", "0000000001"),
            ("refund.succeeded", "0000000002"),
            ("payment.partially_refunded", f"{row['last_sequence']:010d}"),
        ]
        assert {event["subject"] for event in told[:2]} == {second["id"]}
        # It may be taken back like any other.
        (check,) = checks(services, payment_id)
        assert is_planned_for(check, REFUND_AGES[0])

    async def test_without_room_a_person_is_told(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 10050)
        await refund(services, gateway, payment_id, 10000)
        before = payment_row(services.database, payment_id)
        (result,) = await find(services, gateway, given_up_id, Succeeded("re_late"))
        assert "no room for it: 10050 minor units of RUB too much" in str(result.error)
        assert payment_row(services.database, payment_id) == before

    async def test_a_person_is_told_once(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 10050)
        await refund(services, gateway, payment_id, 10000)
        services.database.run(_SENT_OPERATION, id=given_up_id)
        (check,) = taken(services, given_up_id)
        answer = check, Succeeded("re_late")
        assert len(record(services, [answer])) == 1
        # A second process had taken the check after the lease of the first.
        assert record(services, [answer]) == []

    async def test_room_that_others_have_reserved_is_waited_for(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 10050)
        other_id = order_refund(services, payment_id, 1)
        (result,) = await find(services, gateway, given_up_id, Succeeded("re_late"))
        assert result.error is None
        assert payment_row(services.database, payment_id)["refunded_minor"] == 0
        (check,) = checks(services, payment_id)
        assert is_planned_for(check, AGES[0])
        gateway.answer = Declined("amount_too_large", "No.")
        await run_operations(services, [OperationOrder(payment_id, 1, operation_id=other_id)])
        (result,) = await find(services, gateway, given_up_id, Succeeded("re_late"))
        assert result.error is None
        assert payment_row(services.database, payment_id)["status"] == "refunded"

    async def test_the_same_refund_at_the_gateway_is_recorded_once(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 50)
        await find(services, gateway, given_up_id, Succeeded("re_late"))
        # A notice makes us ask again, although the check was over.
        given = GatewayNotice(f"ntc_{uuid.uuid4()}", "refund.succeeded", given_up_id, Claim.DONE)
        accept_notice(services.database, services.clock, services.ids, "default", given)
        assert await find_late_changes(services, [given_up_id]) == []
        assert payment_row(services.database, payment_id)["refunded_minor"] == 50
        assert len(later_operations(services, payment_id)) == 2

    async def test_a_process_that_dies_leaves_all_of_it_or_nothing(
        self, services: EngineServices, gateway: LateGateway, database_address: DatabaseAddress
    ) -> None:
        payment_id, given_up_id = await refund_given_up(services, gateway, 50)
        services.database.run(_SENT, id=payment_id)
        (check,) = taken(services, given_up_id)

        def act(database: Database) -> None:
            record(replace(services, database=database), [(check, Succeeded("re_late"))])

        assert die_at_every_step(database_address, act, lambda: look(services, payment_id)) >= 6
        assert payment_row(services.database, payment_id)["refunded_minor"] == 50


class TestNotices:
    """Notices about operations that have ended: the check that follows is the same."""

    async def test_a_refund_is_taken_back_by_a_notice(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [10050])
        for id_ in ("one", "one", "two"):
            given = GatewayNotice(f"{refund_id}_{id_}", "refund.reversed", refund_id, Claim.FAILED)
            accept_notice(services.database, services.clock, services.ids, "default", given)
        assert commands(services, payment_id) == 2
        gateway.found = Declined("refund_reversed", "Taken back.")
        await deliver(services, messages(services, payment_id, FIND_LATE_CHANGE) * 2)
        assert payment_row(services.database, payment_id)["status"] == "succeeded"
        assert event_types(services, payment_id).count("refund.failed") == 1

    async def test_one_that_says_what_is_known_asks_nothing(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [10050])
        given = GatewayNotice(f"ntc_{refund_id}", "refund.succeeded", refund_id, Claim.DONE)
        accept_notice(services.database, services.clock, services.ids, "default", given)
        assert commands(services, payment_id) == 0

    async def test_a_notice_is_not_believed(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id, (refund_id,) = await refunded(services, gateway, [10050])
        given = GatewayNotice(f"ntc_{refund_id}", "refund.reversed", refund_id, Claim.FAILED)
        accept_notice(services.database, services.clock, services.ids, "default", given)
        gateway.found = Succeeded("re_10050")
        await deliver(services, messages(services, payment_id, FIND_LATE_CHANGE))
        assert payment_row(services.database, payment_id)["status"] == "refunded"
        # It goes on being asked about at its ages.
        assert len(checks(services, payment_id)) == 1

    async def test_a_late_charge_is_found_by_a_notice_after_the_last_age(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_END, id=payment_id)
        move(services, 30 * 86400)
        given = GatewayNotice(f"ntc_{payment_id}", "charge.succeeded", payment_id, Claim.DONE)
        accept_notice(services.database, services.clock, services.ids, "default", given)
        gateway.found = Succeeded("ch_9")
        await deliver(services, messages(services, payment_id, FIND_LATE_CHANGE))
        assert len(to_return(services, payment_id)) == 1


class TestSendLateChecks:
    async def test_what_is_due_is_sent_once_and_again_if_it_is_lost(self, services: EngineServices) -> None:
        due, waiting = await given_up(services), await given_up(services)
        services.database.run(_DUE, id=due)
        sent = {each.payment_id for each in send_late_checks(services.database, services.clock, services.ids)}
        assert (due in sent, waiting in sent) == (True, False)
        assert (commands(services, due), commands(services, waiting)) == (1, 0)
        assert due not in {
            each.payment_id for each in send_late_checks(services.database, services.clock, services.ids)
        }
        (check,) = checks(services, due)
        assert SENT_SECONDS - STALL_SECONDS_MAX <= check["due_seconds"] <= SENT_SECONDS
        services.database.run(_DUE, id=due)
        send_late_checks(services.database, services.clock, services.ids)
        assert commands(services, due) == 2

    async def test_a_check_that_another_transaction_holds_is_left_alone(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        locked, other = await given_up(services), await given_up(services)
        for payment_id in (locked, other):
            services.database.run(_DUE, id=payment_id)
        lock = "SELECT 1 FROM late_checks WHERE payment_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=locked):
            sent = {each.payment_id for each in send_late_checks(services.database, services.clock, services.ids)}
        assert (locked in sent, other in sent) == (False, True)


class TestOlderCode:
    async def test_a_check_that_older_code_plans_is_made_by_newer_code(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_END, id=payment_id)
        services.database.run(_OLD_PLAN, id=payment_id)
        assert rows(services.database, _OLD_CHECKS, id=payment_id) == []
        send_late_checks(services.database, services.clock, services.ids)
        gateway.found = Succeeded("ch_9")
        await deliver(services, messages(services, payment_id, FIND_LATE_CHANGE))
        assert len(to_return(services, payment_id)) == 1


class TestInvariants:
    async def test_asks_are_counted(self, services: EngineServices) -> None:
        payment_id = await given_up(services)
        spoil = Statement("UPDATE late_checks SET asks = -1 WHERE payment_id = :id::uuid")
        with pytest.raises(ConstraintViolated, match="late_checks_asks_are_counted"):
            services.database.run(spoil, id=payment_id)

    async def test_a_refund_cannot_be_taken_back_below_nothing(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id, _ = await refunded(services, gateway, [50])
        spoil = Statement("UPDATE payments SET refunded_minor = -1 WHERE id = :id::uuid")
        with pytest.raises(ConstraintViolated, match="payments_refund"):
            services.database.run(spoil, id=payment_id)
