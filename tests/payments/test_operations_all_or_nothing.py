"""A process that dies between any two statements leaves all of a command, an outcome or a correction, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.payments import (
    MovableClock,
    authorized_payment,
    captured_payment,
    new_merchant,
    new_payment,
    operation_rows,
    payment_row,
)
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.fraud.domain.reviews import ReviewAnswer
from paybridge.fraud.rules import replace_fraud_rules
from paybridge.payments import find_late_changes
from paybridge.payments.accept_notice import accept_notice
from paybridge.payments.answer_reviews import Reviewer, ReviewServices, answer_review, expire_reviews
from paybridge.payments.cancel import cancel_operation, cancel_payment
from paybridge.payments.capture import capture_operation, capture_payment
from paybridge.payments.domain.attempts import Schedule
from paybridge.payments.domain.gateway_answers import (
    Declined,
    Fault,
    GatewayOutcome,
    LookUpAnswer,
    NotFound,
    Pending,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.notice import Claim, GatewayNotice
from paybridge.payments.expire_authorizations import expire_authorizations
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.idempotency import Answered, IdempotentRequest, Keyed
from paybridge.payments.record_answers import record_answers
from paybridge.payments.records import AnsweredAttempt, Attempt, EngineServices, OperationOrder
from paybridge.payments.start_attempts import start_attempts
from paybridge.payments.sweep import sweep_stalled_operations
from paybridge.refunds.create import create_refund, refund_operation
from paybridge.refunds.domain import RefundOrder
from tests.support.payment_records import everything_about
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

NEVER_ARRIVED = Unknown(Fault.NO_ANSWER, "no answer", never_arrived=True)
# After it a refund is given up if the gateway knows of none.
ONE_ATTEMPT = Schedule((), (1,))
ANSWERS: list[GatewayOutcome] = [
    Succeeded("gw_1"),
    Declined("card_declined", "No.", "05"),
    Declined("authorization_expired", "Expired."),
    Pending("gw_1"),
    UnderWay("409"),
    RateLimited(3),
    Unknown(Fault.SERVER_ERROR, "500"),
    NEVER_ARRIVED,
]
_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
_SEND_CHECK = Statement("UPDATE late_checks SET ask_at = now(), is_sent = true WHERE payment_id = :id::uuid")


class Commands:
    """The commands of one merchant."""

    def __init__(self, database: Database, merchant_id: uuid.UUID, clock: MovableClock) -> None:
        self.database, self.merchant_id, self.clock = database, merchant_id, clock
        self.ids = engine_services(database, RecordingGateway()).ids

    def give(self, name: str, payment_id: uuid.UUID, amount: str | None = None) -> Any:
        """Give a command and return its answer."""
        operation = {"capture": capture_operation, "cancel": cancel_operation, "refund": refund_operation}[name]
        keyed = Keyed(self.merchant_id, operation(payment_id), IdempotentRequest(str(uuid.uuid4()), bytes(32)))
        common: dict[str, Any] = {"keyed": keyed, "payment_id": payment_id, "correlation_id": "corr"}
        match name:
            case "capture":
                return capture_payment(self.database, self.clock, self.ids, amount=amount, **common)
            case "cancel":
                return cancel_payment(self.database, self.clock, self.ids, reason=None, **common)
            case _:
                return create_refund(self.database, self.clock, self.ids, order=RefundOrder(amount=amount), **common)


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def commands(database: Database) -> Commands:
    return Commands(database, new_merchant(database), MovableClock())


@pytest.fixture
def services(database: Database, commands: Commands) -> EngineServices:
    return replace(
        engine_services(database, RecordingGateway(), commands.clock), refund_check_ages_seconds=(60.0, 600.0)
    )


def payment_for(commands: Commands, name: str) -> uuid.UUID:
    """Return a payment that the command may be given to."""
    make = captured_payment if name == "refund" else authorized_payment
    return make(commands.database, commands.merchant_id)


def started(services: EngineServices, commands: Commands, name: str) -> Attempt:
    """Give the command and start its operation."""
    payment_id = payment_for(commands, name)
    assert isinstance(commands.give(name, payment_id, "30.00" if name != "cancel" else None), Answered)
    (row,) = operation_rows(commands.database, payment_id)
    order = OperationOrder(payment_id, 1, 0, uuid.UUID(row["id"]))
    (attempt,) = start_attempts(services, [order], GatewayWatch()).attempts
    return attempt


def succeeded_refund(services: EngineServices, commands: Commands, answer: GatewayOutcome) -> Attempt:
    """Give a refund, record the answer to its only attempt, and send the check that is planned then."""
    attempt = started(services, commands, "refund")
    record_answers(replace(services, schedule=ONE_ATTEMPT), [AnsweredAttempt(attempt, answer)], GatewayWatch())
    services.database.run(_SEND_CHECK, id=attempt.payment.id)
    return attempt


class TestCommands:
    @pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
    def test_a_command_reserves_records_and_answers_in_one_step(
        self, commands: Commands, database_address: DatabaseAddress, name: str
    ) -> None:
        payment_id = payment_for(commands, name)

        def act(database: Database) -> None:
            commands.database = database
            assert isinstance(commands.give(name, payment_id), Answered)

        look = partial(everything_about, commands.database, payment_id)
        assert die_at_every_step(database_address, act, look) >= 2
        row = look()
        assert sum("idempotency" not in each and "command.process_payment" in each for each in row) == 1

    def test_a_payment_that_was_not_charged_is_canceled_with_its_event(
        self, commands: Commands, database_address: DatabaseAddress
    ) -> None:
        observer = commands.database
        payment_id = new_payment(observer, commands.merchant_id)

        def act(database: Database) -> None:
            commands.database = database
            commands.give("cancel", payment_id)

        assert die_at_every_step(database_address, act, partial(everything_about, observer, payment_id)) >= 2
        assert payment_row(observer, payment_id)["status"] == "canceled"


class TestEngine:
    @pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
    def test_an_attempt_starts_as_a_whole(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress, name: str
    ) -> None:
        payment_id = payment_for(commands, name)
        commands.give(name, payment_id)
        (row,) = operation_rows(commands.database, payment_id)
        order = OperationOrder(payment_id, 1, 0, uuid.UUID(row["id"]))

        def act(database: Database) -> None:
            start_attempts(replace(services, database=database), [order], GatewayWatch())

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, payment_id)) >= 3

    @pytest.mark.parametrize("schedule", [Schedule((1,), (1,)), ONE_ATTEMPT], ids=["first", "last"])
    @pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{type(answer).__name__}")
    @pytest.mark.parametrize("name", ["capture", "cancel", "refund"])
    def test_an_answer_and_all_that_follows_from_it(
        self,
        services: EngineServices,
        commands: Commands,
        database_address: DatabaseAddress,
        name: str,
        answer: GatewayOutcome,
        schedule: Schedule,
    ) -> None:
        attempt = started(services, commands, name)

        def act(database: Database) -> None:
            acting = replace(services, database=database, schedule=schedule)
            record_answers(acting, [AnsweredAttempt(attempt, answer)], GatewayWatch())

        look = partial(everything_about, commands.database, attempt.payment.id)
        assert die_at_every_step(database_address, act, look) >= 2


class TestUndo:
    def test_a_declined_capture_releases_what_is_held(self, services: EngineServices, commands: Commands) -> None:
        attempt = started(services, commands, "capture")
        record_answers(services, [AnsweredAttempt(attempt, Declined("card_declined", "No."))], GatewayWatch())
        assert payment_row(commands.database, attempt.payment.id)["status"] == "failed"
        _, undo = operation_rows(commands.database, attempt.payment.id)
        assert (undo["kind"], undo["cause"], undo["status"]) == ("void", "capture_failed", "accepted")

    def test_one_that_came_too_late_leaves_nothing_to_release(
        self, services: EngineServices, commands: Commands
    ) -> None:
        attempt = started(services, commands, "capture")
        expired = Declined("authorization_expired", "Expired.")
        record_answers(services, [AnsweredAttempt(attempt, expired)], GatewayWatch())
        assert payment_row(commands.database, attempt.payment.id)["status"] == "canceled"
        assert len(operation_rows(commands.database, attempt.payment.id)) == 1


class TestTwoProcesses:
    @pytest.mark.parametrize("second", [Succeeded("gw_1"), Declined("card_declined", "No.")], ids=["same", "other"])
    def test_the_second_to_record_a_refund_settles_nothing(
        self, services: EngineServices, commands: Commands, second: GatewayOutcome
    ) -> None:
        # The other refunds keep enough reserved for the first one to be taken twice.
        attempt = started(services, commands, "refund")
        commands.give("refund", attempt.payment.id, "40.00")
        commands.give("refund", attempt.payment.id)
        record_answers(services, [AnsweredAttempt(attempt, Succeeded("gw_1"))], GatewayWatch())
        before = payment_row(commands.database, attempt.payment.id)
        record_answers(services, [AnsweredAttempt(attempt, second)], GatewayWatch())
        assert payment_row(commands.database, attempt.payment.id) == before
        assert (before["refunded_minor"], before["refunding_minor"]) == (3000, 7000)


class TestLateChanges:
    @pytest.mark.parametrize(
        ("recorded", "found"),
        [
            (Succeeded("gw_1"), Declined("refund_failed", "Taken back.")),
            (Succeeded("gw_1"), Succeeded("gw_1")),
            (NEVER_ARRIVED, Succeeded("gw_9")),
            (NEVER_ARRIVED, NotFound()),
        ],
        ids=["taken back", "stands", "refunded late", "not found"],
    )
    def test_what_became_of_a_refund(
        self,
        services: EngineServices,
        commands: Commands,
        database_address: DatabaseAddress,
        recorded: GatewayOutcome,
        found: LookUpAnswer,
    ) -> None:
        refund = succeeded_refund(services, commands, recorded).operation
        (check,) = find_late_changes.take(services, [refund.id]).checks

        def act(database: Database) -> None:
            find_late_changes.record(replace(services, database=database), [(check, found)])

        look = partial(everything_about, commands.database, refund.payment_id)
        assert die_at_every_step(database_address, act, look) >= 2


class TestJobs:
    def test_an_expired_authorization(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress
    ) -> None:
        payment_id = authorized_payment(commands.database, commands.merchant_id, capture_seconds=-1)

        def act(database: Database) -> None:
            expire_authorizations(database, services.clock, services.ids)

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, payment_id)) >= 3
        assert payment_row(commands.database, payment_id)["pending_operation"] == "cancel"

    def test_a_stalled_operation(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress
    ) -> None:
        payment_id = payment_for(commands, "refund")
        commands.give("refund", payment_id)
        commands.database.run(_PUBLISH, id=payment_id)
        commands.clock.move(3600)

        def act(database: Database) -> None:
            sweep_stalled_operations(database, services.clock, services.ids, 60)

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, payment_id)) >= 3

    def test_a_notice_is_stored_and_worked_on(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress
    ) -> None:
        attempt = started(services, commands, "refund")
        record_answers(services, [AnsweredAttempt(attempt, Pending("gw_1"))], GatewayWatch())
        notice = GatewayNotice(str(uuid.uuid4()), "refund.succeeded", attempt.operation.id, Claim.DONE)

        def act(database: Database) -> None:
            accept_notice(database, services.clock, services.ids, "default", notice)

        # It is stored first. What is stored is worked on by a job, so only the first step may leave nothing.
        look = partial(everything_about, commands.database, attempt.payment.id)
        assert die_at_every_step(database_address, act, look) == 1


class TestReviews:
    @pytest.fixture
    def held(self, services: EngineServices, commands: Commands) -> uuid.UUID:
        """A payment that waits for a review."""
        rules = [{"id": "all", "action": "review", "when": {"amount_gte": "1.00"}}]
        replace_fraud_rules(commands.database, services.clock, commands.merchant_id, rules, "tests")
        payment_id = new_payment(commands.database, commands.merchant_id)
        start_attempts(services, [OperationOrder(payment_id, 1)], GatewayWatch())
        assert payment_row(commands.database, payment_id)["status"] == "review"
        return payment_id

    def test_screening_holds_a_payment_with_its_decision(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress
    ) -> None:
        rules = [{"id": "all", "action": "block", "when": {"amount_gte": "1.00"}}]
        replace_fraud_rules(commands.database, services.clock, commands.merchant_id, rules, "tests")
        payment_id = new_payment(commands.database, commands.merchant_id)

        def act(database: Database) -> None:
            start_attempts(replace(services, database=database), [OperationOrder(payment_id, 1)], GatewayWatch())

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, payment_id)) >= 4
        assert payment_row(commands.database, payment_id)["failure_code"] == "fraud_blocked"

    @pytest.mark.parametrize("answer", [ReviewAnswer.APPROVED, ReviewAnswer.REJECTED])
    def test_an_answer(
        self,
        services: EngineServices,
        commands: Commands,
        database_address: DatabaseAddress,
        held: uuid.UUID,
        answer: ReviewAnswer,
    ) -> None:
        def act(database: Database) -> None:
            reviewing = ReviewServices(database, services.clock, services.ids)
            answer_review(reviewing, held, answer, Reviewer("tests", commands.merchant_id), key="key")

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, held)) >= 4

    def test_an_expiry(
        self, services: EngineServices, commands: Commands, database_address: DatabaseAddress, held: uuid.UUID
    ) -> None:
        commands.clock.move(timedelta(days=2).total_seconds())

        def act(database: Database) -> None:
            expire_reviews(ReviewServices(database, services.clock, services.ids), ReviewAnswer.REJECTED)

        assert die_at_every_step(database_address, act, partial(everything_about, commands.database, held)) >= 4
        assert payment_row(commands.database, held)["failure_code"] == "review_rejected"
