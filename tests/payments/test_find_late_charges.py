"""A charge that the gateway makes after the payment was given up is found, recorded and told to a person."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.testkit.locks import held
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows, payment_row, rows
from paybridge.core.errors import ConstraintViolated
from paybridge.core.events import FIND_LATE_CHARGE
from paybridge.core.ids import Uuid7Ids
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
    Succeeded,
    Unknown,
)
from paybridge.payments.find_late_charges import find_late_charges, record
from paybridge.payments.ports import GatewayRequest
from paybridge.payments.records import EngineServices, OperationOrder
from paybridge.payments.run_operations import run_operations
from paybridge.payments.store.late_charge_checks import take
from paybridge.payments.sweep import sweep_late_charge_checks

pytestmark = pytest.mark.integration

AGES = (60.0, 600.0)
_DUE = Statement("UPDATE late_charge_checks SET ask_at = now() WHERE payment_id = :id::uuid")
_LOSE = Statement("""
    UPDATE late_charge_checks SET ask_at = now() - interval '1 hour' WHERE payment_id = :id::uuid
""")
_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid AND type <> :type::text")


@dataclass
class LateGateway:
    """A gateway that answers no charge, and looks up what the test says."""

    found: LookUpAnswer = field(default_factory=NotFound)
    breaking: set[uuid.UUID] = field(default_factory=set)
    look_ups: int = 0

    async def send(self, _: GatewayRequest) -> GatewayAnswer:
        return Unknown(Fault.NO_ANSWER, "no answer")

    async def find(self, request: GatewayRequest) -> LookUpAnswer:
        self.look_ups += 1
        if request.payment_id in self.breaking:
            raise RuntimeError("an unforeseen failure")
        return self.found


@pytest.fixture
def gateway() -> LateGateway:
    return LateGateway()


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
        )


async def given_up(services: EngineServices) -> uuid.UUID:
    """Return a payment that failed because the gateway never answered."""
    payment_id = new_payment(services.database, new_merchant(services.database))
    (result,) = await run_operations(services, [OperationOrder(payment_id, 1)])
    assert result.outcome == "failed"
    return payment_id


def move(services: EngineServices, seconds: float) -> None:
    assert isinstance(services.clock, MovableClock)
    services.clock.move(seconds)


def checks(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    sql = """
        SELECT json_build_object('asks', asks, 'due_seconds', round(extract(epoch FROM ask_at - now())))
        FROM late_charge_checks WHERE payment_id = :id::uuid
    """
    return rows(services.database, sql, id=payment_id)


def to_return(services: EngineServices, payment_id: uuid.UUID) -> list[dict[str, Any]]:
    return rows(
        services.database, "SELECT to_json(c) FROM charges_to_return c WHERE payment_id = :id::uuid", id=payment_id
    )


def commands(services: EngineServices, payment_id: uuid.UUID) -> int:
    return sum(row["type"] == FIND_LATE_CHARGE for row in outbox_rows(services.database, payment_id))


class TestGivenUp:
    async def test_the_first_look_up_is_planned_with_the_failure(self, services: EngineServices) -> None:
        payment_id = await given_up(services)
        assert checks(services, payment_id) == [{"asks": 0, "due_seconds": 60}]
        assert commands(services, payment_id) == 1

    async def test_a_decline_is_not_asked_about(self, services: EngineServices, gateway: LateGateway) -> None:
        gateway.found = Declined("card_declined", "Card declined.")
        payment_id = new_payment(services.database, new_merchant(services.database))
        await run_operations(services, [OperationOrder(payment_id, 1)])
        assert (checks(services, payment_id), commands(services, payment_id)) == ([], 0)


class TestFindLateCharges:
    @pytest.mark.parametrize(("found", "minor"), [(Succeeded("ch_9"), 10050), (PartlyApproved("ch_9", 7), 7)])
    async def test_a_late_charge_is_told_and_recorded_once(
        self, services: EngineServices, gateway: LateGateway, found: LookUpAnswer, minor: int
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_DUE, id=payment_id)
        gateway.found = found
        (result,) = await find_late_charges(services, [payment_id])
        assert (result.outcome, f"{minor} minor units of RUB are given back" in str(result.error)) == (
            "charged_too_late",
            True,
        )
        (charge,) = to_return(services, payment_id)
        assert (charge["reason"], charge["gateway_id"], charge["amount_minor"]) == ("charged_late", "ch_9", minor)
        assert await find_late_charges(services, [payment_id]) == []
        assert checks(services, payment_id) == []
        # The merchant was told that it failed, so it stays failed.
        assert payment_row(services.database, payment_id)["status"] == "failed"

    async def test_the_timeline_and_the_diagnosis_show_it(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id = await given_up(services)
        services.database.run(_PUBLISH, id=payment_id, type=FIND_LATE_CHARGE)
        found = diagnose_payment(services.database, services.clock, payment_id)
        assert found is not None
        assert found.explanation.startswith("It failed with gateway_timeout")
        assert "s whether it charged late." in found.explanation
        services.database.run(_DUE, id=payment_id)
        gateway.found = Succeeded("ch_9")
        await find_late_charges(services, [payment_id])
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
        services.database.run(_DUE, id=payment_id)
        assert await find_late_charges(services, [payment_id]) == []
        (check,) = checks(services, payment_id)
        assert check["asks"] == 1
        assert 530 <= check["due_seconds"] <= 540
        assert commands(services, payment_id) == 2
        move(services, 600)
        services.database.run(_DUE, id=payment_id)
        assert await find_late_charges(services, [payment_id]) == []
        assert (checks(services, payment_id), commands(services, payment_id)) == ([], 2)

    async def test_a_check_that_is_not_due_is_left_alone(self, services: EngineServices, gateway: LateGateway) -> None:
        payment_id = await given_up(services)
        before = gateway.look_ups
        assert await find_late_charges(services, [payment_id, payment_id, uuid.uuid4()]) == []
        assert gateway.look_ups == before

    async def test_a_check_that_another_process_has_taken_is_its_own_for_the_lease(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_DUE, id=payment_id)
        with services.database.transaction() as transaction:
            (check,) = take(transaction, [payment_id], services.lease_seconds)
        before = gateway.look_ups
        assert await find_late_charges(services, [payment_id]) == []
        assert gateway.look_ups == before
        # Two processes have found the same charge: the second one after the lease of the first.
        assert len(record(services, [(check, Succeeded("ch_9"))])) == 1
        assert record(services, [(check, Succeeded("ch_9"))]) == []

    async def test_one_unforeseen_failure_keeps_its_check_and_fails_no_other(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        bad, good = await given_up(services), await given_up(services)
        for payment_id in (bad, good):
            services.database.run(_DUE, id=payment_id)
        gateway.found, gateway.breaking = Succeeded("ch_9"), {bad}
        (result,) = await find_late_charges(services, [bad, good])
        assert result.payment_id == good
        assert len(checks(services, bad)) == 1

    async def test_a_check_whose_row_is_locked_is_left_to_the_sweep(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_DUE, id=payment_id)
        with services.database.transaction() as transaction:
            taken = take(transaction, [payment_id], services.lease_seconds)
        lock = "SELECT FROM late_charge_checks WHERE payment_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=payment_id):
            assert record(services, [(check, NotFound()) for check in taken]) == []
        assert len(checks(services, payment_id)) == 1

    async def test_a_charge_of_another_amount_is_told_and_asked_for_again(
        self, services: EngineServices, gateway: LateGateway
    ) -> None:
        payment_id = await given_up(services)
        services.database.run(_DUE, id=payment_id)
        gateway.found = Contradictory("the gateway charged more than was asked for", "ch_9")
        (result,) = await find_late_charges(services, [payment_id])
        assert result.error == "the gateway charged more than was asked for"
        assert len(checks(services, payment_id)) == 1


class TestSweep:
    async def test_a_check_whose_message_was_lost_is_requeued_once(self, services: EngineServices) -> None:
        lost, waiting = await given_up(services), await given_up(services)
        services.database.run(_LOSE, id=lost)
        swept = sweep_late_charge_checks(services.database, services.clock, services.ids, 300)
        assert [check.payment_id for check in swept if check.payment_id in (lost, waiting)] == [lost]
        assert (commands(services, lost), commands(services, waiting)) == (2, 1)
        again = sweep_late_charge_checks(services.database, services.clock, services.ids, 300)
        assert lost not in [check.payment_id for check in again]

    async def test_a_check_that_another_transaction_holds_is_left_alone(
        self, services: EngineServices, database_address: DatabaseAddress
    ) -> None:
        locked, other = await given_up(services), await given_up(services)
        for payment_id in (locked, other):
            services.database.run(_LOSE, id=payment_id)
        lock = "SELECT 1 FROM late_charge_checks WHERE payment_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=locked):
            swept = sweep_late_charge_checks(services.database, services.clock, services.ids, 300)
        found = {check.payment_id for check in swept}
        assert (locked in found, other in found) == (False, True)


class TestInvariants:
    async def test_asks_are_counted(self, services: EngineServices) -> None:
        payment_id = await given_up(services)
        spoil = Statement("UPDATE late_charge_checks SET asks = -1 WHERE payment_id = :id::uuid")
        with pytest.raises(ConstraintViolated, match="late_charge_checks_asks_are_counted"):
            services.database.run(spoil, id=payment_id)
