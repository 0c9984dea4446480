"""The jobs: stuck payments, old answers, new months."""

import uuid

import pytest

from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.operations.extend_partitions import extend_partitions
from paybridge.payments.expire_answers import expire_answers
from paybridge.payments.sweep import sweep_stuck

pytestmark = pytest.mark.integration

_PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")
STUCK_AFTER_SECONDS = 60


def sweep(database: Database, clock: MovableClock) -> list[uuid.UUID]:
    return [payment.id for payment in sweep_stuck(database, clock, Uuid7Ids(), STUCK_AFTER_SECONDS)]


class TestSweepStuck:
    def test_a_payment_whose_message_was_lost_is_sent_on_once(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH_ALL)
        assert payment_id not in sweep(database, clock)
        clock.move(STUCK_AFTER_SECONDS + 1)
        assert payment_id in sweep(database, clock)
        command = outbox_rows(database, payment_id)[-1]
        assert (command["type"], command["routing_key"]) == ("command.process_payment", "payments.new")
        assert '"attempt":1' in command["body"]
        assert payment_id not in sweep(database, clock)

    def test_a_payment_whose_message_waits_in_the_outbox_is_left_alone(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        clock.move(STUCK_AFTER_SECONDS + 1)
        assert payment_id not in sweep(database, clock)

    def test_a_settled_payment_is_left_alone(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH_ALL)
        database.run(
            Statement("UPDATE payments SET status = 'failed', failure_code = 'x' WHERE id = :id::uuid"), id=payment_id
        )
        clock.move(STUCK_AFTER_SECONDS + 1)
        assert payment_id not in sweep(database, clock)


class TestExpireAnswers:
    def test_answers_go_after_a_day_and_keys_stay(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        find = Statement("SELECT response_body FROM idempotency_keys WHERE resource_id = :id::uuid")
        clock.move(23 * 3600)
        expire_answers(database, clock)
        assert database.run(find, id=payment_id)[0][0] is not None
        clock.move(2 * 3600)
        assert expire_answers(database, clock) >= 1
        assert database.run(find, id=payment_id) == [[None]]
        assert expire_answers(database, clock) == 0


class TestExtendPartitions:
    def test_missing_months_are_made_once(self, database: Database) -> None:
        (ahead,) = database.run(Statement("SELECT to_char(now() AT TIME ZONE 'UTC' + interval '3 months', 'YYYY_MM')"))[
            0
        ]
        database.run(Statement(f"DROP TABLE outbox_{ahead}"))
        assert extend_partitions(database) == 1
        assert extend_partitions(database) == 0
