"""Captures, voids and refunds whose message was lost are re-queued, and those open for long are found."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import orjson
import pytest

from local.testkit.dying_database import die_at_every_step
from local.testkit.locks import held
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.operations.measure import OPERATION_OLD_AFTER, PENDING_OLD_AFTER, measure_database
from paybridge.payments.domain.operation import OperationStatus
from paybridge.payments.sweep import sweep_stalled_operations

pytestmark = pytest.mark.integration

STALLED_SECONDS = 60
_ADD = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            pending_at, gateway_id, failure_code, correlation_id, created_at, updated_at)
    SELECT :id::uuid, id, merchant_id, 'refund', 'default', 100, :status::text,
           CASE WHEN :status::text = 'accepted' THEN 0 ELSE 2 END, now(),
           CASE WHEN :status::text = 'pending' THEN now() END, 're_1',
           CASE WHEN :status::text IN ('declined', 'reversed') THEN 'no' END, 'c', now(), now()
    FROM payments WHERE id = :payment_id::uuid
""")
_CHANGE_TOMORROW = Statement("UPDATE operations SET updated_at = now() + interval '1 day' WHERE id = :id::uuid")
_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
OPEN = [each for each in OperationStatus if each in {"accepted", "started", "pending", "rate_limited", "unknown"}]
ENDED = [each for each in OperationStatus if each in {"succeeded", "declined", "reversed"}]


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


def operation(database: Database, status: OperationStatus) -> tuple[uuid.UUID, uuid.UUID]:
    """An operation of this status, with no message in flight, and its payment."""
    id_, payment_id = Uuid7Ids().new(), new_payment(database, new_merchant(database))
    database.run(_ADD, id=id_, payment_id=payment_id, status=str(status))
    database.run(_PUBLISH, id=payment_id)
    return id_, payment_id


def sweep(database: Database, clock: MovableClock) -> set[uuid.UUID]:
    return {each.id for each in sweep_stalled_operations(database, clock, Uuid7Ids(), STALLED_SECONDS)}


def old(database: Database, clock: MovableClock) -> set[uuid.UUID]:
    return {each.id for each in measure_database(database, clock, STALLED_SECONDS).old_operations}


class TestSweepStalledOperations:
    @pytest.mark.parametrize("status", OPEN)
    def test_an_open_one_whose_message_was_lost_is_requeued_once(
        self, database: Database, status: OperationStatus
    ) -> None:
        clock = MovableClock()
        id_, payment_id = operation(database, status)
        assert id_ not in sweep(database, clock)
        clock.move(STALLED_SECONDS + 1)
        assert id_ in sweep(database, clock)
        command = outbox_rows(database, payment_id)[-1]
        data = orjson.loads(command["body"])["data"]
        assert (command["type"], command["routing_key"]) == ("command.process_payment", "payments.new")
        number = 1 if status is OperationStatus.ACCEPTED else 3
        assert (data["operation_id"], data["attempt"], data["ask"]) == (str(id_), number, 0)
        assert id_ not in sweep(database, clock)

    def test_a_change_in_the_future_was_written_by_a_wrong_clock(self, database: Database) -> None:
        id_, _ = operation(database, OperationStatus.UNKNOWN)
        database.run(_CHANGE_TOMORROW, id=id_)
        clock = MovableClock()
        clock.move(STALLED_SECONDS + 1)
        assert id_ in sweep(database, clock)

    @pytest.mark.parametrize("status", ENDED)
    def test_one_that_has_ended_is_left_alone(self, database: Database, status: OperationStatus) -> None:
        clock = MovableClock()
        id_, _ = operation(database, status)
        clock.move(STALLED_SECONDS + 1)
        assert id_ not in sweep(database, clock)

    def test_a_message_about_another_operation_of_the_payment_is_no_reason_to_wait(self, database: Database) -> None:
        clock = MovableClock()
        id_, payment_id = operation(database, OperationStatus.UNKNOWN)
        clock.move(STALLED_SECONDS + 1)
        assert id_ in sweep(database, clock)
        other = Uuid7Ids().new()
        database.run(_ADD, id=other, payment_id=payment_id, status="unknown")
        swept = sweep(database, clock)
        assert (other in swept, id_ in swept) == (True, False)
        # Both have one now, and neither gets a second one.
        assert not {id_, other} & sweep(database, clock)

    def test_one_that_another_transaction_holds_is_left_to_the_next_job(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        clock = MovableClock()
        id_, _ = operation(database, OperationStatus.STARTED)
        clock.move(STALLED_SECONDS + 1)
        with held(database_address, "SELECT FROM operations WHERE id = :id::uuid FOR UPDATE", id=id_):
            assert id_ not in sweep(database, clock)
        assert id_ in sweep(database, clock)

    def test_a_process_that_dies_leaves_all_of_it_or_nothing(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        clock = MovableClock()
        _, payment_id = operation(database, OperationStatus.STARTED)
        clock.move(STALLED_SECONDS + 1)
        steps = die_at_every_step(
            database_address, lambda dying: sweep(dying, clock), lambda: len(outbox_rows(database, payment_id))
        )
        assert steps >= 2


class TestOldOperations:
    @pytest.mark.parametrize("status", OPEN)
    def test_one_that_is_open_for_a_day_is_found_and_a_pending_one_after_a_week(
        self, database: Database, status: OperationStatus
    ) -> None:
        clock = MovableClock()
        id_, _ = operation(database, status)
        assert id_ not in old(database, clock)
        is_pending = status is OperationStatus.PENDING
        clock.move((OPERATION_OLD_AFTER + timedelta(seconds=1)).total_seconds())
        assert (id_ in old(database, clock)) is not is_pending
        clock.move(PENDING_OLD_AFTER.total_seconds())
        assert id_ in old(database, clock)

    @pytest.mark.parametrize("status", ENDED)
    def test_one_that_has_ended_is_not(self, database: Database, status: OperationStatus) -> None:
        clock = MovableClock()
        id_, _ = operation(database, status)
        clock.move(PENDING_OLD_AFTER.total_seconds() * 2)
        assert id_ not in old(database, clock)
