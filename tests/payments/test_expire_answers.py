"""Answers kept for repeated requests expire after a day; their idempotency keys never do."""

from __future__ import annotations

import pytest

from local.testkit.locks import held
from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.expire_answers import expire_answers

pytestmark = pytest.mark.integration

_FIND = Statement("SELECT response_body FROM idempotency_keys WHERE resource_id = :id::uuid")


class TestExpireAnswers:
    def test_answers_expire_after_a_day_and_keys_stay(self, database: Database) -> None:
        clock = MovableClock()
        payment_id = new_payment(database, new_merchant(database))
        clock.move(23 * 3600)
        expire_answers(database, clock)
        assert database.run(_FIND, id=payment_id)[0][0] is not None
        clock.move(2 * 3600)
        assert expire_answers(database, clock) >= 1
        assert database.run(_FIND, id=payment_id) == [[None]]
        assert expire_answers(database, clock) == 0

    def test_a_key_that_another_transaction_holds_holds_up_no_other(
        self, database: Database, database_address: DatabaseAddress
    ) -> None:
        clock = MovableClock()
        merchant_id = new_merchant(database)
        locked, other = new_payment(database, merchant_id), new_payment(database, merchant_id)
        clock.move(25 * 3600)
        lock = "SELECT 1 FROM idempotency_keys WHERE resource_id = :id::uuid FOR UPDATE"
        with held(database_address, lock, id=locked):
            expire_answers(database, clock)
        assert database.run(_FIND, id=locked)[0][0] is not None
        assert database.run(_FIND, id=other) == [[None]]
