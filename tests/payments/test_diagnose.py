"""Diagnosis: the sentence an operator gets, for every place where a payment can be."""

from __future__ import annotations

import uuid

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge import cli, wiring
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.payments.diagnose import diagnose_payment

pytestmark = pytest.mark.integration

_PUBLISH = Statement("UPDATE outbox SET published_at = now() WHERE payment_id = :id::uuid")
_REFUSE = Statement("""
    UPDATE outbox SET attempts = 2, last_error = 'unroutable', available_at = now() + interval '4 seconds'
    WHERE payment_id = :id::uuid
""")
_FAIL = Statement("""
    UPDATE payments SET status = 'failed', failure_code = 'card_declined', failure_message = 'Card declined.'
    WHERE id = :id::uuid
""")


def explanation(database: Database, payment_id: uuid.UUID) -> str:
    found = diagnose_payment(database, SystemClock(), payment_id)
    assert found is not None
    return found.explanation


class TestDiagnosePayment:
    def test_an_unknown_id_has_no_diagnosis(self, database: Database) -> None:
        assert diagnose_payment(database, SystemClock(), uuid.uuid4()) is None

    def test_a_due_message_that_no_relay_takes(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        assert "waits in the outbox for payments.new and has been due" in explanation(database, payment_id)

    def test_a_message_that_the_broker_refuses(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        database.run(_REFUSE, id=payment_id)
        assert "refused 2 times: unroutable" in explanation(database, payment_id)

    def test_a_message_with_the_broker(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH, id=payment_id)
        assert "with the broker" in explanation(database, payment_id)

    def test_a_decline(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        database.run(_PUBLISH, id=payment_id)
        database.run(_FAIL, id=payment_id)
        assert explanation(database, payment_id) == "It failed with card_declined: Card declined."


class TestCommand:
    def test_it_prints_the_timeline_and_the_explanation(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        monkeypatch.setattr(wiring, "database", lambda: database)
        assert cli.main(["payment", str(payment_id)]) == 0
        printed = capsys.readouterr().out
        assert f"{payment_id}  100.50 RUB  pending" in printed
        assert "payment.created" in printed
        assert printed.rstrip().endswith("is the relay running and the broker there?")

    def test_an_unknown_payment_is_an_error(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(wiring, "database", lambda: database)
        assert cli.main(["payment", str(uuid.uuid4())]) == 1
        assert "There is no payment" in capsys.readouterr().err
