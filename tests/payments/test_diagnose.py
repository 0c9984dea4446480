"""Diagnosis: the sentence an operator gets, for every place where a payment can be."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from local.testkit.payments import MovableClock, new_merchant, new_payment
from paybridge import cli, wiring
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.outbox import store as outbox
from paybridge.payments.diagnose import diagnose_payment
from paybridge.payments.domain.circuit import merchant_circuit
from paybridge.payments.domain.events import run_operation_command
from paybridge.payments.store.diagnosis import operations, waiting_messages

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

_CHARGE = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            finished_at, attempt_status, error, correlation_id, created_at, updated_at)
    SELECT id, id, merchant_id, 'charge', 'default', amount_minor, 'unknown', 16, now() + interval '16 s',
           now() + interval '16.5 s', 'unknown', 'no answer before the deadline', correlation_id, now(), now()
    FROM payments WHERE id = :id::uuid
""")
_ATTEMPTS = Statement("""
    INSERT INTO operation_attempts (operation_id, number, status, error, started_at, finished_at)
    SELECT :id::uuid, number, 'unknown', 'no answer before the deadline',
           now() + make_interval(secs => number), now() + make_interval(secs => number + 0.5)
    FROM generate_series(1, 15) AS number
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
_GO_TO_ENDPOINT = Statement("UPDATE webhook_deliveries SET endpoint_id = :endpoint_id::uuid WHERE id = :id::uuid")
_PROCESS = Statement("UPDATE payments SET status = 'processing' WHERE id = :id::uuid")
_LIMIT = Statement("""
    INSERT INTO circuits (name, consecutive_failures, open_until, calls_per_second, next_call_at, pace_ends_at)
    VALUES (:name::text, 20, now() + interval '20 seconds', 10, now(), now() + interval '30 seconds')
    ON CONFLICT (name) DO UPDATE
    SET consecutive_failures = 20, open_until = excluded.open_until, calls_per_second = 10, next_call_at = now(),
        pace_ends_at = excluded.pace_ends_at
""")


_HOLD = Statement("""
    UPDATE payments SET status = 'requires_capture', capture = 'manual', authorized_minor = amount_minor,
                        capture_before = '2026-12-06 12:00:00+00'
    WHERE id = :id::uuid
""")
_REVIEW = Statement("""
    UPDATE payments
    SET status = 'review', screening = '{"decision": "review", "score": 60, "rules": ["large", "new-customer"]}'
    WHERE id = :id::uuid
""")
_SUCCEED = Statement("""
    UPDATE payments SET status = 'succeeded', captured_minor = amount_minor, refunding_minor = 3000
    WHERE id = :id::uuid
""")
_REFUND = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            pending_at, finished_at, attempt_status, error, gateway_id, failure_code, failure_message,
                            correlation_id, created_at, updated_at)
    SELECT :operation::uuid, id, merchant_id, 'refund', 'default', 3000, :status::text,
           CASE WHEN :status::text = 'accepted' THEN 0 ELSE 2 END, '2026-12-01 12:00:00+00',
           CASE WHEN :status::text = 'pending' THEN '2026-12-01 12:00:01+00'::timestamptz END, '2026-12-01 12:00:02+00',
           CASE WHEN :status::text NOT IN ('accepted', 'started', 'reversed') THEN :status::text END,
           CASE WHEN :status::text = 'unknown' THEN 'the gateway answered 503' END, 're_1',
           CASE WHEN :status::text IN ('declined', 'reversed') THEN 'refund_declined' END,
           CASE WHEN :status::text = 'declined' THEN 'The refund was declined.' END, correlation_id, now(), now()
    FROM payments WHERE id = :id::uuid
""")


def new_refund(database: Database, payment_id: uuid.UUID, status: str) -> uuid.UUID:
    """A refund of 30.00 of a payment that has succeeded."""
    operation_id = Uuid7Ids().new()
    for statement in (_PUBLISH, _PROCESS, _SUCCEED):
        database.run(statement, id=payment_id)
    database.run(_REFUND, id=payment_id, operation=operation_id, status=status)
    return operation_id


def add_command(database: Database, payment_id: uuid.UUID, operation_id: uuid.UUID, delay_seconds: float) -> None:
    [operation] = [each for each in operations(database, payment_id) if each.id == operation_id]
    command = run_operation_command(uuid.uuid4(), operation, SystemClock().now(), attempt=3)
    with database.transaction() as transaction:
        outbox.add_delayed(transaction, [(command, delay_seconds)])


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
        for statement in (_PUBLISH, _PROCESS, _CHARGE, _ATTEMPTS):
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
        database.run(_GO_TO_ENDPOINT, id=delivery, endpoint_id=delivery)
        to_endpoint = said.replace("webhook", f"webhook to endpoint {delivery}")
        assert f"Card declined. {to_endpoint}" in explanation(database, payment_id)

    def test_authorized_money_waits_for_its_capture(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        for statement in (_PUBLISH, _PROCESS, _HOLD):
            database.run(statement, id=payment_id)
        said = "authorized until 2026-12-06 12:00:00 UTC and waits for a capture or a cancellation."
        assert said in explanation(database, payment_id)

    def test_screening_holds_the_payment(self, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        for statement in (_PUBLISH, _REVIEW):
            database.run(statement, id=payment_id)
        assert "score 60, rules large, new-customer. Nothing was charged." in explanation(database, payment_id)


class TestOperations:
    @pytest.mark.parametrize(
        ("status", "said"),
        [
            ("accepted", "is accepted, and the gateway was not asked yet. Its message is with the broker"),
            ("started", "has attempt 2 under way since 2026-12-01 12:00:00 UTC."),
            ("pending", "is with the gateway since 2026-12-01 12:00:01 UTC, which has not decided yet"),
            ("rate_limited", "met the gateway's rate limit at attempt 2. Its message is with the broker"),
            ("unknown", "has no clear answer to attempt 2: the gateway answered 503. Its message is with the broker"),
            ("succeeded", "has succeeded."),
            ("declined", "failed with refund_declined: The refund was declined."),
            ("reversed", "had succeeded, and the gateway has taken it back (refund_declined)."),
        ],
    )
    def test_where_a_refund_is_and_why(self, status: str, said: str, database: Database) -> None:
        payment_id = new_payment(database, new_merchant(database))
        operation_id = new_refund(database, payment_id, status)
        found = diagnose_payment(database, SystemClock(), payment_id)
        assert found is not None
        [refund] = found.operations
        assert refund.explanation.startswith(f"Refund {operation_id} (30.00 RUB) {said}")
        assert "Its status is succeeded" in found.explanation

    def test_when_the_gateway_is_asked_again(self, database: Database) -> None:
        """The command of one refund says nothing of another, nor of the payment."""
        payment_id = new_payment(database, new_merchant(database))
        waiting = new_refund(database, payment_id, "unknown")
        database.run(_REFUND, id=payment_id, operation=Uuid7Ids().new(), status="unknown")
        add_command(database, payment_id, waiting, delay_seconds=600)
        [command] = [each for each in waiting_messages(database, payment_id) if each.operation_id == waiting]
        clock = MovableClock(stopped_at=command.available_at - timedelta(seconds=600))
        found = diagnose_payment(database, clock, payment_id)
        assert found is not None
        first, second = (each.explanation for each in found.operations)
        assert "Its next command waits in the outbox for payments.new and is due in 600 s." in first
        assert "Its message is with the broker" in second
        assert "waits in the outbox" not in found.explanation

    def test_what_holds_the_calls_of_an_open_refund_back(self, database: Database) -> None:
        merchant_id = new_merchant(database)
        open_one, ended = new_payment(database, merchant_id), new_payment(database, merchant_id)
        new_refund(database, open_one, "unknown")
        new_refund(database, ended, "succeeded")
        database.run(_LIMIT, name=merchant_circuit(merchant_id))
        assert "The circuit of the merchant is open" in explanation(database, open_one)
        assert "The circuit of" not in explanation(database, ended)


class TestCommand:
    def test_every_operation_has_a_line_at_the_end(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        operation_id = new_refund(database, payment_id, "unknown")
        monkeypatch.setattr(wiring, "database", lambda: database)
        assert cli.main(["payment", str(payment_id)]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].startswith(f"Refund {operation_id} (30.00 RUB) has no clear answer to attempt 2")
        accepted, attempt = (line for line in lines if f"refund {operation_id}" in line)
        assert accepted.endswith(f"refund {operation_id}, cause merchant, amount 30.00")
        assert attempt.endswith(f"refund {operation_id}, number 2, error the gateway answered 503")

    def test_attempts_that_repeat_each_other_are_folded(
        self, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        for statement in (_PUBLISH, _PROCESS, _CHARGE, _ATTEMPTS):
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
