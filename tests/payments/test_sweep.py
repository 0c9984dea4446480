"""The sweep re-queues stalled payments, once, and no others."""

from __future__ import annotations

import uuid

import pytest

from local.testkit.locks import held
from local.testkit.payments import MovableClock, new_merchant, new_payment, outbox_rows
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.sweep import sweep_stalled

pytestmark = pytest.mark.integration

_PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")
_FAIL = Statement("UPDATE payments SET status = 'failed', failure_code = 'x' WHERE id = :id::uuid")
STALLED_AFTER_SECONDS = 60


def sweep(database: Database, clock: MovableClock) -> list[uuid.UUID]:
    return [payment.id for payment in sweep_stalled(database, clock, Uuid7Ids(), STALLED_AFTER_SECONDS)]


class TestSweepStalled:
    def test_a_payment_whose_message_was_lost_is_requeued_once(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH_ALL)
        assert payment_id not in sweep(database, clock)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert payment_id in sweep(database, clock)
        command = outbox_rows(database, payment_id)[-1]
        assert (command["type"], command["routing_key"]) == ("command.process_payment", "payments.new")
        assert '"attempt":1' in command["body"]
        assert payment_id not in sweep(database, clock)

    def test_a_payment_whose_message_waits_in_the_outbox_is_left_alone(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert payment_id not in sweep(database, clock)

    def test_a_settled_payment_is_left_alone(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH_ALL)
        database.run(_FAIL, id=payment_id)
        clock.move(STALLED_AFTER_SECONDS + 1)
        assert payment_id not in sweep(database, clock)

    def test_one_that_another_transaction_holds_is_left_alone_and_holds_up_no_other(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        clock = MovableClock()
        merchant_id = new_merchant(database)
        locked, other = new_payment(database, merchant_id), new_payment(database, merchant_id)
        database.run(_PUBLISH_ALL)
        clock.move(STALLED_AFTER_SECONDS + 1)
        with held(database_address, "SELECT 1 FROM payments WHERE id = :id::uuid FOR UPDATE", id=locked):
            swept = sweep(database, clock)
        assert (locked in swept, other in swept) == (False, True)
