"""A process that dies between any two statements leaves both or neither: outcome and event, attempt and status."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments import find_late_changes
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.circuit import CircuitPolicy
from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    GatewayOutcome,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredAttempt, EngineServices, OperationOrder
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.sweep import send_late_checks, sweep_stalled
from tests.support.payment_records import everything_about

pytestmark = pytest.mark.integration

_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
_SEND_CHECK = Statement("UPDATE late_checks SET ask_at = now(), is_sent = true WHERE payment_id = :id::uuid")
_FAIL = Statement("UPDATE payments SET status = 'failed', failure_code = 'x' WHERE id = :id::uuid")

# After it a payment is given up if the gateway knows of no charge.
ONE_ATTEMPT = Schedule((), (3,))
NEVER_ARRIVED = Unknown(Fault.NO_ANSWER, "no answer", never_arrived=True)


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def payment_id(database: Database) -> uuid.UUID:
    return new_payment(database, new_merchant(database))


@pytest.fixture
def services(database: Database) -> EngineServices:
    return EngineServices(
        database=database,
        gateways={"default": HttpGateway("http://127.0.0.1:1", 1)},
        clock=MovableClock(),
        ids=Uuid7Ids(),
        schedule=Schedule((1,), (3,)),
        lease_seconds=10,
        late_charge_ages_seconds=(60, 600),
        circuit_policy=CircuitPolicy(1, 5),
        authorization_seconds=604800,
    )


@pytest.fixture
def look(database: Database, payment_id: uuid.UUID) -> Callable[[], list[str]]:
    """Everything on record about the payment."""
    return partial(everything_about, database, payment_id)


class TestStartAttempts:
    def test_a_first_attempt(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
    ) -> None:
        def act(database: Database) -> None:
            start_attempts(replace(services, database=database), [OperationOrder(payment_id, 1)], GatewayWatch())

        assert die_at_every_step(database_address, act, look) >= 4

    @pytest.mark.parametrize("answer", [Pending(), Unknown(Fault.NO_ANSWER, "no answer")])
    def test_a_later_one(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
        answer: GatewayOutcome,
    ) -> None:
        attempt = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts[0]
        record_answers(services, [AnsweredAttempt(attempt, answer)], GatewayWatch())
        assert isinstance(services.clock, MovableClock)
        services.clock.move(6)

        def act(database: Database) -> None:
            start_attempts(replace(services, database=database), [OperationOrder(payment_id, 2)], GatewayWatch())

        assert die_at_every_step(database_address, act, look) >= 4

    def test_one_that_is_deferred(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
    ) -> None:
        start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch())

        def act(database: Database) -> None:
            start_attempts(replace(services, database=database), [OperationOrder(payment_id, 1)], GatewayWatch())

        assert die_at_every_step(database_address, act, look) >= 4


class TestRecordAnswers:
    @pytest.mark.parametrize("schedule", [Schedule((1,), (3,)), ONE_ATTEMPT], ids=["first", "last"])
    @pytest.mark.parametrize(
        "answer",
        [
            Succeeded("ch_1"),
            PartlyApproved("ch_1", 8),
            Declined("card_declined", "Card declined.", "05"),
            Pending(),
            UnderWay("409"),
            RateLimited(3),
            Contradictory("more", "ch_1"),
            Unknown(Fault.SERVER_ERROR, "500"),
            NEVER_ARRIVED,
        ],
        ids=lambda answer: type(answer).__name__,
    )
    def test_an_answer_and_all_that_follows_from_it(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
        answer: GatewayOutcome,
        schedule: Schedule,
    ) -> None:
        attempt = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts[0]

        def act(database: Database) -> None:
            acting = replace(services, database=database, schedule=schedule)
            record_answers(acting, [AnsweredAttempt(attempt, answer)], GatewayWatch())

        assert die_at_every_step(database_address, act, look) >= 3

    def test_a_charge_of_a_payment_that_has_failed(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
    ) -> None:
        attempt = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts[0]
        services.database.run(_FAIL, id=payment_id)

        def act(database: Database) -> None:
            answered = AnsweredAttempt(attempt, Succeeded("ch_1"))
            record_answers(replace(services, database=database), [answered], GatewayWatch())

        assert die_at_every_step(database_address, act, look) >= 3


class TestFindLateChanges:
    @pytest.mark.parametrize("found", [Succeeded("ch_9"), NotFound(), Declined("card_declined", "No.")])
    def test_what_was_found_and_the_next_check(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
        found: LookUpAnswer,
    ) -> None:
        attempt = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts[0]
        given_up = AnsweredAttempt(attempt, NEVER_ARRIVED)
        record_answers(replace(services, schedule=ONE_ATTEMPT), [given_up], GatewayWatch())
        services.database.run(_SEND_CHECK, id=payment_id)
        (check,) = find_late_changes.take(services, [payment_id]).checks

        def act(database: Database) -> None:
            find_late_changes.record(replace(services, database=database), [(check, found)])

        assert die_at_every_step(database_address, act, look) >= 2


class TestSweeps:
    def test_a_stalled_payment(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
    ) -> None:
        services.database.run(_PUBLISH, id=payment_id)
        assert isinstance(services.clock, MovableClock)
        services.clock.move(3600)

        def act(database: Database) -> None:
            sweep_stalled(database, services.clock, services.ids, 60)

        assert die_at_every_step(database_address, act, look) >= 3

    def test_a_check_that_is_due(
        self,
        services: EngineServices,
        database_address: DatabaseAddress,
        payment_id: uuid.UUID,
        look: Callable[[], list[str]],
    ) -> None:
        attempt = start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch()).attempts[0]
        given_up = AnsweredAttempt(attempt, NEVER_ARRIVED)
        record_answers(replace(services, schedule=ONE_ATTEMPT), [given_up], GatewayWatch())
        services.database.run(_SEND_CHECK, id=payment_id)

        def act(database: Database) -> None:
            send_late_checks(database, services.clock, services.ids)

        assert die_at_every_step(database_address, act, look) >= 3
