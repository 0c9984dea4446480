"""The consumer function as Lambda calls it, with a real database, broker and gateway process."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumer import handler as consumer
from local.testkit.local_servers import running_gateway
from local.testkit.locks import held
from local.testkit.payments import charges, new_merchant, new_payment, payment_row
from local.testkit.queues import take_all
from local.testkit.rmq import outbox_bodies, rmq_event
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.core.errors import MalformedMessage
from paybridge.core.events import FIND_LATE_CHANGE, PAYMENT_CREATED, PROCESS_PAYMENT, Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.observability.metrics import VALUES_MAX
from paybridge.payments.domain.events import find_late_change_command
from paybridge.payments.domain.operation import OperationRef
from paybridge.payments.gateways.http import HttpGateway
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring import payments as payments_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = [pytest.mark.integration, pytest.mark.broker]

_GIVE_UP = (
    Statement("UPDATE payments SET status = 'failed', failure_code = 'gateway_timeout' WHERE id = :id::uuid"),
    Statement("""
        INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                                finished_at, failure_code, correlation_id, created_at, updated_at)
        SELECT id, id, merchant_id, 'charge', 'default', amount_minor, 'declined', 1, now(), now(), 'gateway_timeout',
               correlation_id, now(), now()
        FROM payments WHERE id = :id::uuid
    """),
    Statement("""
        INSERT INTO late_checks (operation_id, payment_id, merchant_id, correlation_id, ended_at, ask_at, is_sent)
        SELECT id, id, merchant_id, correlation_id, now(), now(), true FROM payments WHERE id = :id::uuid
    """),
)


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway") / "charges.jsonl") as url:
        yield url


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database: Database, gateway_url: str, vhost: Vhost) -> Iterator[None]:
    """Wire the function to the servers of the test."""
    gateway = HttpGateway(gateway_url, 5)
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(payments_wiring, "gateway", lambda: gateway)
    monkeypatch.setattr(
        wiring, "environment", lambda: Settings({"GATEWAY_URL": gateway_url, "ENVIRONMENT_NAME": "test"})
    )
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)
    yield
    wiring.run(gateway.close())


def call(event: dict[str, Any]) -> dict[str, int]:
    return consumer.handler(event, None)  # type: ignore[arg-type]


def created(database: Database, *payment_ids: Any) -> list[bytes]:
    return outbox_bodies(database, list(payment_ids), "payment.created")


class TestHandler:
    def test_it_charges_the_payments_of_the_batch(
        self, database: Database, gateway_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        merchant_id = new_merchant(database)
        payments = [new_payment(database, merchant_id) for _ in range(3)]
        answer = call(rmq_event("payments.new", created(database, *payments)))
        assert answer == {"messages": 3, "processed": 3, "poison": 0}
        assert {payment_row(database, id_)["status"] for id_ in payments} == {"succeeded"}
        assert [len(charges(gateway_url, id_)) for id_ in payments] == [1, 1, 1]
        emitted = metrics_of(caplog.records)
        latencies = emitted.pop(("GatewayLatency", of("test")))
        assert len(latencies) == 3
        assert all(0 < milliseconds < 5000 for milliseconds in latencies)
        assert emitted == {
            ("PaymentsSettled", of("test")): [3],
            ("PaymentsSettled", of("test", Outcome="succeeded")): [3],
            ("GatewayCalls", of("test")): [3],
            ("GatewayCalls", of("test", Result="charged")): [3],
        }

    def test_it_reports_an_unclear_gateway(self, database: Database, caplog: pytest.LogCaptureFixture) -> None:
        database.run(Statement("DELETE FROM circuits"))
        merchant_id = new_merchant(database)
        bad = [new_payment(database, merchant_id, payment_method="tok_error") for _ in range(25)]
        call(rmq_event("payments.new", created(database, *bad)))
        emitted = metrics_of(caplog.records)
        assert emitted["GatewayCalls", of("test", Result="unknown")] == [25]
        assert len(emitted["GatewayLatency", of("test")]) == VALUES_MAX
        opened = [vars(record) for record in caplog.records if "circuit opened" in record.message]
        assert {(line["levelname"], line["scope"]) for line in opened} == {
            ("WARNING", "gateway"),
            ("WARNING", "payment method"),
        }
        caplog.clear()
        call(rmq_event("payments.new", created(database, new_payment(database, new_merchant(database)))))
        (closed,) = [vars(record) for record in caplog.records if "circuit closed" in record.message]
        assert (closed["levelname"], closed["scope"]) == ("INFO", "gateway")

    def test_a_charge_found_late_is_an_error_line_and_a_metric(
        self, database: Database, gateway_url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        payment = payment_row(database, payment_id)
        for statement in _GIVE_UP:
            database.run(statement, id=payment_id)
        charge = {"reference": str(payment_id), "amount_minor": 10050, "currency": "RUB"}
        key = {"Idempotency-Key": f"{payment_id}:charge"}
        httpx.post(f"{gateway_url}/charges", json=charge, headers=key, trust_env=False, timeout=30).raise_for_status()
        charged = OperationRef(payment_id, payment_id, uuid.UUID(payment["merchant_id"]), "c")
        command = find_late_change_command(uuid.uuid4(), charged, datetime.now(UTC))
        answer = call(rmq_event("payments.new", [json.dumps(command.envelope()).encode()]))
        assert answer == {"messages": 1, "processed": 1, "poison": 0}
        (line,) = [vars(record) for record in caplog.records if record.message == "a payment needs a person"]
        assert (line["levelname"], line["outcome"], line["payment_id"]) == (
            "ERROR",
            "charged_too_late",
            str(payment_id),
        )
        assert metrics_of(caplog.records)["LateCharges", of("test")] == [1]

    async def test_poison_is_dead_lettered_with_its_reason_while_the_rest_proceeds(
        self, database: Database, vhost: Vhost
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        (good,) = created(database, payment_id)
        foreign = json.dumps({**json.loads(good), "source": "another-system"}).encode()
        unknown = json.dumps({**json.loads(good), "type": "payment.exploded"}).encode()
        bodies = [b"\xff not json", good, foreign, unknown, b""]
        event = rmq_event("payments.new", bodies, ["one", "two", "same", "same", None])
        answer = await asyncio.to_thread(call, event)
        assert answer == {"messages": 1, "processed": 1, "poison": 4}
        assert payment_row(database, payment_id)["status"] == "succeeded"
        dead = await take_all(vhost.amqp_url, "payments.dead")
        assert sorted(message.body for message in dead) == sorted([b"\xff not json", foreign, unknown, b""])
        reasons = {message.body: message.headers["x-paybridge-reason"] for message in dead}
        assert "JSONDecodeError" in reasons[b"\xff not json"]
        assert "not from this system" in reasons[foreign]
        assert "payment.exploded" in reasons[unknown]
        assert {message.headers["x-paybridge-queue"] for message in dead} == {"payments.new"}

    async def test_an_id_that_is_too_long_to_be_published_is_cut(self, vhost: Vhost) -> None:
        event = rmq_event("payments.new", [b"poison"], ["\ufffd" * 255])
        assert (await asyncio.to_thread(call, event))["poison"] == 1
        (dead,) = await take_all(vhost.amqp_url, "payments.dead")
        assert dead.message_id == "\ufffd" * 85

    def test_a_message_without_readable_data_is_poison_too(self, vhost: Vhost) -> None:
        event = rmq_event("payments.new", [b"x"])
        event["rmqMessagesByQueue"]["payments.new::/"][0]["data"] = "%%%"
        assert call(event)["poison"] == 1

    def test_without_a_database_the_batch_is_handed_back_and_charged_later(
        self, database: Database, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        bodies = created(database, payment_id)
        with monkeypatch.context() as down:
            nowhere = Database(DatabaseAddress("127.0.0.1", 1, "none", "none", "none"))
            down.setattr(wiring, "database", lambda: nowhere)
            down.setattr(consumer, "DATABASE_PATIENCE_SECONDS", 0.5)
            answer = call(rmq_event("payments.new", bodies))
        assert answer == {"messages": 1, "handed_back": 1, "poison": 0}
        (again,) = asyncio.run(take_all(vhost.amqp_url, "payments.new"))
        assert again.body == bodies[0]
        assert call(rmq_event("payments.new", [again.body]))["processed"] == 1
        assert payment_row(database, payment_id)["status"] == "succeeded"

    @pytest.mark.parametrize("table", ["payments", "operations", "outbox"])
    def test_a_locked_table_hands_the_batch_back_and_it_is_charged_later(
        self,
        database: Database,
        database_address: DatabaseAddress,
        gateway_url: str,
        vhost: Vhost,
        monkeypatch: pytest.MonkeyPatch,
        table: str,
    ) -> None:
        merchant_id = new_merchant(database)
        payment_ids = [new_payment(database, merchant_id) for _ in range(5)]
        bodies = created(database, *payment_ids)
        monkeypatch.setattr(consumer, "DATABASE_PATIENCE_SECONDS", 0.5)
        with held(database_address, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
            answer = call(rmq_event("payments.new", bodies))
        assert answer == {"messages": 5, "handed_back": 5, "poison": 0}
        again = asyncio.run(take_all(vhost.amqp_url, "payments.new"))
        assert [message.body for message in again] == bodies
        assert call(rmq_event("payments.new", bodies))["processed"] == 5
        assert [len(charges(gateway_url, id_)) for id_ in payment_ids] == [1] * 5

    def test_what_is_committed_is_told_although_the_rest_of_the_batch_fails(
        self,
        database: Database,
        database_address: DatabaseAddress,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        payment_id = new_payment(database, new_merchant(database))
        charged = OperationRef(payment_id, payment_id, uuid.uuid4(), "c")
        late = find_late_change_command(uuid.uuid4(), charged, datetime.now(UTC))
        bodies = [*created(database, payment_id), json.dumps(late.envelope()).encode()]
        monkeypatch.setattr(consumer, "DATABASE_PATIENCE_SECONDS", 0.5)
        with held(database_address, "LOCK TABLE late_checks IN ACCESS EXCLUSIVE MODE"):
            answer = call(rmq_event("payments.new", bodies))
        assert answer == {"messages": 2, "handed_back": 2, "poison": 0}
        assert metrics_of(caplog.records)["PaymentsSettled", of("test", Outcome="succeeded")] == [1]

    @pytest.mark.parametrize("type_", [PAYMENT_CREATED, PROCESS_PAYMENT, FIND_LATE_CHANGE])
    def test_a_message_about_no_payment_is_dead_lettered(self, database: Database, type_: str) -> None:
        payment_id = new_payment(database, new_merchant(database))
        about_endpoint = Event(
            id=uuid.uuid4(),
            type=type_,
            payment_id=None,
            merchant_id=uuid.uuid4(),
            correlation_id="c",
            time=datetime.now(UTC),
            data={},
            subject_type="webhook_endpoint",
            subject_id=uuid.uuid4(),
        )
        bodies = [*created(database, payment_id), json.dumps(about_endpoint.envelope()).encode()]
        assert call(rmq_event("payments.new", bodies)) == {"messages": 2, "processed": 1, "poison": 1}
        assert payment_row(database, payment_id)["status"] == "succeeded"

    def test_an_invocation_without_a_batch_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            call({"hello": "world"})

    def test_the_log_line_carries_the_correlation_id_and_no_payment_method(
        self, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        payment_id = new_payment(database, new_merchant(database), payment_method="tok_success")
        call(rmq_event("payments.new", created(database, payment_id)))
        (line,) = [vars(record) for record in caplog.records if record.message == "processed payments"]
        correlation_id = payment_row(database, payment_id)["correlation_id"]
        assert line["payments"] == [
            {"payment_id": str(payment_id), "correlation_id": correlation_id, "outcome": "succeeded", "kind": "charge"}
        ]
        assert "tok_success" not in str(line)


def test_no_dead_letter_is_lost_when_the_broker_does_not_take_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from paybridge.core.errors import BrokerUnavailable

    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: "amqp://guest:guest@127.0.0.1:1/")
    with pytest.raises(BrokerUnavailable):
        call(rmq_event("payments.new", [b"poison"]))
