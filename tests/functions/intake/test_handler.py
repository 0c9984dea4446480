"""The intake function as Lambda calls it, with a real database and broker."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import pytest

from intake import handler as intake
from local.testkit.locks import held
from local.testkit.payments import new_merchant, payment_row, rows
from local.testkit.queues import Got, take_all
from local.testkit.rmq import rmq_event
from local.testkit.servers import Postgres, Vhost
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, MalformedMessage
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.outbox.queues import INTAKE_QUEUE
from paybridge.rabbitmq.batch import REASON_HEADER, RETURNS_MAX
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = [pytest.mark.integration, pytest.mark.broker]

PAYMENTS = "SELECT to_json(p) FROM payments p WHERE merchant_id = :id::uuid ORDER BY id"
TAKE_KEY = """
    INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, response_body,
                                  created_at)
    VALUES (:id::uuid, 'create_payment', :key::text, sha256('held'), gen_random_uuid(), 202, '{}', now())
"""


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def merchant(database: Database) -> UUID:
    return new_merchant(database)


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database: Database, vhost: Vhost) -> None:
    """Wire the function to the test's servers."""
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "environment", lambda: Settings({"ENVIRONMENT_NAME": "test"}))
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)


def message(merchant_id: UUID, key: str, **changes: Any) -> bytes:
    members = {
        "idempotency_key": key,
        "amount": 100.50,
        "currency": "EUR",
        "user_id": "user_123",
        "merchant_id": str(merchant_id),
        **changes,
    }
    return json.dumps(members).encode()


def call(*bodies: bytes, message_ids: list[str | None] | None = None) -> dict[str, int]:
    return intake.handler(rmq_event(INTAKE_QUEUE, [*bodies], message_ids), None)  # type: ignore[arg-type]


def payments(database: Database, merchant_id: UUID) -> list[dict[str, Any]]:
    return rows(database, PAYMENTS, id=merchant_id)


def dead(vhost: Vhost) -> list[Got]:
    return asyncio.run(take_all(vhost.amqp_url, "payments.dead"))


def waiting(vhost: Vhost) -> list[Got]:
    return asyncio.run(take_all(vhost.amqp_url, INTAKE_QUEUE))


def counts(**some: int) -> dict[str, int]:
    return {"messages": 0, "accepted": 0, "repeated": 0, "postponed": 0, "poison": 0} | some


class TestHandler:
    def test_every_message_is_a_payment(
        self, database: Database, merchant: UUID, vhost: Vhost, caplog: pytest.LogCaptureFixture
    ) -> None:
        bodies = [message(merchant, f"k-{number}", amount=number + 0.5) for number in range(3)]
        assert call(*bodies) == counts(messages=3, accepted=3)
        made = payments(database, merchant)
        assert [row["amount_minor"] for row in made] == [50, 150, 250]
        assert {row["customer"] for row in made} == {"user_123"}
        assert dead(vhost) == []
        assert metrics_of(caplog.records) == {("PaymentsAccepted", of("test")): [3]}
        (line,) = [vars(record) for record in caplog.records if record.message == "took payments by message"]
        assert [one["payment_id"] for one in line["payments"]] == [row["id"] for row in made]

    def test_a_redelivered_message_is_the_same_payment(
        self, database: Database, merchant: UUID, vhost: Vhost, caplog: pytest.LogCaptureFixture
    ) -> None:
        body = message(merchant, "k-1")
        call(body)
        caplog.clear()
        assert call(body, gzip.compress(body)) == counts(messages=2, repeated=2)
        assert len(payments(database, merchant)) == 1
        assert metrics_of(caplog.records) == {}

    def test_hostile_messages_fail_alone_and_with_a_reason(
        self, database: Database, merchant: UUID, vhost: Vhost
    ) -> None:
        good = message(merchant, "good")
        hostile = {
            b"\xef\xbb\xbf" + message(merchant, "bom"): "json_invalid",
            b"\xff": "json_invalid",
            b'{"amount": NaN}': "json_invalid",
            b'{"a": 1, "a": 1}': "json_duplicate_key",
            b"[" * 60_000: "json_too_deep",
            b" " * (5 * 1024 * 1024): "body_too_large",
            gzip.compress(bytes(50 * 1024 * 1024)): "body_too_large",
            message(merchant, "unknown", extra="x"): "validation_failed",
            message(merchant, "places", amount=1.005): "amount_places",
            message(uuid4(), "stranger"): "merchant_unknown",
        }
        answer = call(*hostile, good)
        assert answer == counts(messages=len(hostile) + 1, accepted=1, poison=len(hostile))
        found = {letter.body: letter.headers[REASON_HEADER].partition(":")[0] for letter in dead(vhost)}
        assert found == hostile
        assert len(payments(database, merchant)) == 1

    def test_a_key_that_asks_something_else_is_a_dead_letter(
        self, database: Database, merchant: UUID, vhost: Vhost
    ) -> None:
        assert call(message(merchant, "k"), message(merchant, "k", amount="1.00")) == counts(
            messages=2, accepted=1, poison=1
        )
        (letter,) = dead(vhost)
        assert letter.headers[REASON_HEADER].startswith("idempotency_key_reused: ")
        assert letter.body == message(merchant, "k", amount="1.00")
        assert [row["amount_minor"] for row in payments(database, merchant)] == [10050]

    def test_what_was_accepted_stays_accepted_although_a_rule_has_become_stricter(
        self, database: Database, merchant: UUID, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body = message(merchant, "k")
        call(body)
        monkeypatch.setattr("paybridge.core.money.EXPONENTS", {})
        assert call(body, message(merchant, "new")) == counts(messages=2, repeated=1, poison=1)
        (letter,) = dead(vhost)
        assert letter.headers[REASON_HEADER].startswith("currency_unsupported")

    def test_a_message_returned_too_often_is_a_dead_letter(self, vhost: Vhost, merchant: UUID) -> None:
        event = rmq_event(INTAKE_QUEUE, [message(merchant, "k")])
        event["rmqMessagesByQueue"][f"{INTAKE_QUEUE}::/"][0]["basicProperties"]["headers"] = {
            "x-acquired-count": RETURNS_MAX + 1
        }
        assert intake.handler(event, None)["poison"] == 1  # type: ignore[arg-type]
        assert "returned to its queue" in dead(vhost)[0].headers[REASON_HEADER]

    def test_a_key_in_flight_is_handed_back_and_the_others_go_on(
        self, database: Database, database_address: DatabaseAddress, merchant: UUID, vhost: Vhost
    ) -> None:
        other = message(merchant, "in-flight")
        with held(database_address, TAKE_KEY, id=merchant, key="in-flight"):
            answer = call(message(merchant, "a"), other, message(merchant, "b"), message_ids=["m-1", "m-2", "m-3"])
        assert answer == counts(messages=3, accepted=2, postponed=1)
        (handed_back,) = waiting(vhost)
        assert (handed_back.message_id, handed_back.body) == ("m-2", other)
        assert call(handed_back.body) == counts(messages=1, accepted=1)
        assert len(payments(database, merchant)) == 3

    def test_without_a_database_the_batch_is_handed_back(
        self,
        database: Database,
        merchant: UUID,
        vhost: Vhost,
        postgres_server: Postgres,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(intake, "DATABASE_PATIENCE_SECONDS", 0.5)
        body = gzip.compress(message(merchant, "k"))
        postgres_server.stop()
        try:
            answer = call(body, b"{", message_ids=["m-1", "x" * 255])
        finally:
            postgres_server.start()
        assert answer == {"messages": 2, "handed_back": 2, "poison": 0}
        again = waiting(vhost)
        assert {one.body for one in again} == {body, b"{"}
        assert call(*(one.body for one in again)) == counts(messages=2, accepted=1, poison=1)

    def test_without_a_broker_the_batch_returns(
        self, database: Database, merchant: UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: "amqp://guest:guest@127.0.0.1:1/")
        with pytest.raises(BrokerUnavailable):
            call(message(merchant, "k"), b"{")
        assert payment_row(database, UUID(payments(database, merchant)[0]["id"]))["status"] == "pending"

    def test_what_is_no_batch_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            intake.handler({}, None)  # type: ignore[arg-type]
