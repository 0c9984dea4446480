"""Diagnosis: the sentence an operator gets, for every place where a payment can be."""

from __future__ import annotations

import uuid

import pytest

from local.testkit.payments import new_merchant, new_payment
from paybridge import cli, wiring
from paybridge.core.clock import SystemClock
from paybridge.database.database import Database, Statement
from paybridge.payments.diagnose import diagnose_payment
from paybridge.payments.domain.circuit import merchant_circuit

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

_ATTEMPT = Statement("""
    INSERT INTO payment_attempts (payment_id, operation, number, status, error, started_at, finished_at)
    SELECT :id::uuid, 'charge', number, 'unknown', 'no answer before the deadline',
           now() + make_interval(secs => number), now() + make_interval(secs => number + 0.5)
    FROM generate_series(1, 16) AS number
""")
_DELIVERY = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, payment_id, event_id, event_type, url, body, correlation_id,
                                    status, attempts, created_at, finished_at)
    SELECT :delivery::uuid, merchant_id, id, gen_random_uuid(), 'payment.failed', 'https://example.com', '{}',
           correlation_id, :status::text, 1, now() + interval '1 s', now() + interval '2 s'
    FROM payments WHERE id = :id::uuid
""")
_DELIVERY_ATTEMPT = Statement("""
    INSERT INTO webhook_attempts (delivery_id, number, status, response_status, latency_ms, started_at, finished_at)
    VALUES (:delivery::uuid, 1, :status::text, :answer::int, 12, now() + interval '1 s', now() + interval '2 s')
""")
_PROCESS = Statement("UPDATE payments SET status = 'processing' WHERE id = :id::uuid")
_LIMIT = Statement("""
    INSERT INTO circuits (name, consecutive_failures, open_until, calls_per_second, next_call_at, pace_ends_at)
    VALUES (:name::text, 20, now() + interval '20 seconds', 10, now(), now() + interval '30 seconds')
    ON CONFLICT (name) DO UPDATE
    SET consecutive_failures = 20, open_until = excluded.open_until, calls_per_second = 10, next_call_at = now(),
        pace_ends_at = excluded.pace_ends_at
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

    def test_why_the_gateway_failed(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        for statement in (_PUBLISH, _PROCESS, _ATTEMPT):
            database.run(statement, id=payment_id)
        said = "The gateway gave no clear answer to attempt 16: no answer before the deadline."
        assert explanation(database, payment_id).endswith(said)

    def test_an_open_circuit_and_a_limited_rate(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        payment_id = new_payment(database, merchant_id)
        database.run(_LIMIT, name=merchant_circuit(merchant_id))
        found = explanation(database, payment_id)
        assert "The circuit of the merchant is open after 20 failures in a row, until " in found
        assert "calls for this merchant go at 10.0 a second" in found
        assert "The circuit of" not in explanation(database, new_payment(database, new_merchant(database)))

    @pytest.mark.parametrize(
        ("status", "attempt", "answer", "said"),
        [
            ("gone", "failed", 410, "Its last webhook failed (410), "),
            ("delivered", "delivered", 204, "Its last webhook was delivered (204), "),
        ],
    )
    def test_how_the_webhook_of_a_failed_payment_ended(
        self, status: str, attempt: str, answer: int, said: str, database: Database
    ) -> None:
        payment_id, delivery = new_payment(database, new_merchant(database)), uuid.uuid4()
        database.run(_PUBLISH, id=payment_id)
        database.run(_FAIL, id=payment_id)
        database.run(_DELIVERY, id=payment_id, delivery=delivery, status=status)
        database.run(_DELIVERY_ATTEMPT, delivery=delivery, status=attempt, answer=answer)
        assert f"Card declined. {said}" in explanation(database, payment_id)


class TestCommand:
    def test_attempts_that_repeat_each_other_are_folded(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        for statement in (_PUBLISH, _PROCESS, _ATTEMPT):
            database.run(statement, id=payment_id)
        monkeypatch.setattr(wiring, "database", lambda: database)
        assert cli.main(["payment", str(payment_id)]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if "attempt_" in line or "more like" in line]
        assert len(lines) == 3
        assert lines[0].endswith("number 1, error no answer before the deadline")
        assert lines[1].strip() == "… 14 more like this …"
        assert lines[2].endswith("number 16, error no answer before the deadline")

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
