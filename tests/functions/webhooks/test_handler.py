"""The webhooks function as Lambda calls it, with a real database, broker and receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest
from uuid_utils.compat import uuid7

from local.servers.processes import free_port
from local.testkit.local_servers import running_sink
from local.testkit.locks import held
from local.testkit.payments import new_merchant
from local.testkit.queues import take_all
from local.testkit.rmq import rmq_event
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable, MalformedMessage
from paybridge.core.events import DELIVER_WEBHOOK, Event
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.webhooks.domain.address import LOOPBACK
from paybridge.webhooks.http import HttpWebhookSender
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring import webhooks as webhook_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of
from webhooks import handler as webhooks

pytestmark = [pytest.mark.integration, pytest.mark.broker]

SETTINGS = {
    "ENVIRONMENT_NAME": "test",
    "WEBHOOK_LOCAL_NETWORKS": "127.0.0.0/8",
    "WEBHOOK_RETRY_DELAYS_SECONDS": "1,2,4",
}
SECRET = "whsec_cGF5YnJpZGdlLWxvY2FsLXdlYmhvb2stc2VjcmV0ISE="
TAKE_SECRET = Statement("UPDATE merchants SET webhook_secrets = ARRAY[:secret::text] WHERE id = :id::uuid")
MAKE_DUE = Statement("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE next_attempt_at > now()")
COMMANDS = Statement("SELECT body FROM outbox WHERE payment_id = :id::uuid AND type = 'command.deliver_webhook'")


@pytest.fixture(scope="module")
def sink() -> Iterator[str]:
    with running_sink(SECRET) as url:
        yield url


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture(autouse=True)
def function(monkeypatch: pytest.MonkeyPatch, database: Database, vhost: Vhost) -> Iterator[None]:
    """Wire the function to the test's servers."""
    sender = HttpWebhookSender(local_networks=LOOPBACK)
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "environment", lambda: Settings(SETTINGS))
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)
    monkeypatch.setattr(webhook_wiring, "sender", lambda: sender)
    yield
    wiring.run(sender.aclose())


@pytest.fixture
def merchant(database: Database) -> UUID:
    merchant_id = new_merchant(database)
    database.run(TAKE_SECRET, id=merchant_id, secret=SECRET)
    return merchant_id


def call(event: dict[str, Any]) -> dict[str, int]:
    return webhooks.handler(event, None)  # type: ignore[arg-type]


def event_of(merchant_id: UUID, url: str | None, **changes: Any) -> Event:
    payment_id = uuid7()
    values: dict[str, Any] = {
        "id": uuid7(),
        "type": "payment.succeeded",
        "payment_id": payment_id,
        "merchant_id": merchant_id,
        "correlation_id": "corr-1",
        "time": datetime.now(UTC),
        "sequence": 3,
        "data": {"payment_id": str(payment_id), "webhook_url": url},
    }
    return Event(**values | changes)


def body_of(event: Event) -> bytes:
    return orjson.dumps(event.envelope())


def received(sink: str, event: Event) -> list[dict[str, Any]]:
    parameters = {"payment_id": str(event.payment_id)}
    listed: list[dict[str, Any]] = httpx.get(f"{sink}/received", params=parameters, trust_env=False, timeout=30).json()
    return listed


class TestHandler:
    def test_it_delivers_the_events_of_the_batch(
        self, sink: str, merchant: UUID, caplog: pytest.LogCaptureFixture
    ) -> None:
        events = [event_of(merchant, f"{sink}/ok") for _ in range(3)]
        answer = call(rmq_event("webhooks", [body_of(event) for event in events]))
        assert answer == {"messages": 3, "deliveries": 3, "poison": 0}
        assert all(received(sink, event)[0]["verified"] for event in events)
        assert metrics_of(caplog.records) == {
            ("WebhookDeliveries", of("test")): [3],
            ("WebhookDeliveries", of("test", Result="delivered")): [3],
        }

    def test_it_makes_the_retries_of_the_other_queue(self, sink: str, database: Database, merchant: UUID) -> None:
        event = event_of(merchant, f"{sink}/fail-times/1/handler")
        call(rmq_event("webhooks", [body_of(event)]))
        database.run(MAKE_DUE)
        ((command,),) = database.run(COMMANDS, id=event.payment_id)
        answer = call(rmq_event("webhooks.retry", [command.encode()]))
        assert answer == {"messages": 1, "deliveries": 1, "poison": 0}
        assert len(received(sink, event)) == 2

    async def test_poison_is_dead_lettered_with_its_reason_while_the_rest_proceeds(
        self, sink: str, merchant: UUID, vhost: Vhost
    ) -> None:
        good = event_of(merchant, f"{sink}/ok")
        nameless = body_of(event_of(merchant, None, type=DELIVER_WEBHOOK, data={"delivery_id": "no-uuid"}))
        typeless = body_of(event_of(merchant, None, data={"webhook_url": 7}))
        with_nul = body_of(event_of(merchant, None, data={"webhook_url": "https://a/\x00"}))
        unknown = body_of(event_of(merchant, None, type="payment.created"))
        event = rmq_event("webhooks", [b"{", nameless, typeless, body_of(good), with_nul, unknown])
        answer = await asyncio.to_thread(call, event)
        assert (answer["deliveries"], answer["poison"]) == (1, 5)
        assert len(received(sink, good)) == 1
        dead = await take_all(vhost.amqp_url, "payments.dead")
        assert sorted(message.body for message in dead) == sorted([b"{", nameless, typeless, with_nul, unknown])
        reasons = {message.body: message.headers["x-paybridge-reason"] for message in dead}
        assert "names no delivery" in reasons[nameless]
        assert {message.headers["x-paybridge-queue"] for message in dead} == {"webhooks"}

    async def test_a_malformed_event_is_dead_lettered_byte_for_byte_however_deep(
        self, sink: str, merchant: UUID, vhost: Vhost
    ) -> None:
        good = event_of(merchant, f"{sink}/ok")
        odd = [
            body_of(event_of(merchant, None, data={"webhook_url": 7, "in": None})).replace(
                b"null}", b"[" * levels + b"]" * levels + b"} "
            )
            for levels in (1, 50, 300, 900)
        ]
        answer = await asyncio.to_thread(call, rmq_event("webhooks", [*odd, body_of(good)]))
        assert (answer["deliveries"], answer["poison"]) == (1, 4)
        assert len(received(sink, good)) == 1
        dead = await take_all(vhost.amqp_url, "payments.dead")
        assert sorted(message.body for message in dead) == sorted(odd)

    def test_a_card_number_in_any_attribute_is_not_logged(
        self, sink: str, merchant: UUID, caplog: pytest.LogCaptureFixture
    ) -> None:
        envelopes = []
        for name in ("specversion", "source", "id", "type", "subject", "correlationid", "time", "sequence", "data"):
            event = event_of(merchant, f"{sink}/ok")
            envelopes.append(orjson.dumps({**event.envelope(), name: "4111 1111 1111 1111"}))
            envelopes.append(orjson.dumps({**event.envelope(), name: "4111111111111111"}))
        call(rmq_event("webhooks", envelopes))
        lines = [str(vars(record)) for record in caplog.records if record.name != "aio_pika"]
        assert any("[digits]" in line for line in lines)
        # More digits of the number than an id or a time has by chance.
        assert not any("41111111" in line.replace(" ", "") for line in lines)

    @pytest.mark.parametrize("queue", ["webhooks", "webhooks.retry"])
    def test_without_a_database_the_batch_is_handed_back(
        self, sink: str, merchant: UUID, vhost: Vhost, monkeypatch: pytest.MonkeyPatch, queue: str
    ) -> None:
        nowhere = Database(DatabaseAddress("127.0.0.1", 1, "none", "none", "none"))
        monkeypatch.setattr(wiring, "database", lambda: nowhere)
        monkeypatch.setattr(webhooks, "DATABASE_PATIENCE_SECONDS", 0.5)
        event = event_of(merchant, f"{sink}/ok")
        answer = call(rmq_event(queue, [body_of(event)]))
        assert answer == {"messages": 1, "handed_back": 1, "poison": 0}
        assert received(sink, event) == []
        (again,) = asyncio.run(take_all(vhost.amqp_url, queue))
        assert again.body == body_of(event)

    @pytest.mark.parametrize("table", ["merchants", "webhook_deliveries", "webhook_attempts", "webhook_receivers"])
    def test_a_locked_table_hands_the_batch_back_and_it_is_delivered_later(
        self,
        sink: str,
        merchant: UUID,
        vhost: Vhost,
        database_address: DatabaseAddress,
        monkeypatch: pytest.MonkeyPatch,
        table: str,
    ) -> None:
        events = [event_of(merchant, f"{sink}/ok") for _ in range(5)]
        bodies = [body_of(event) for event in events]
        with monkeypatch.context() as impatient, held(database_address, f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"):
            impatient.setattr(webhooks, "DATABASE_PATIENCE_SECONDS", 0.5)
            answer = call(rmq_event("webhooks", bodies))
        assert answer == {"messages": 5, "handed_back": 5, "poison": 0}
        again = asyncio.run(take_all(vhost.amqp_url, "webhooks"))
        assert [message.body for message in again] == bodies
        call(rmq_event("webhooks", bodies))
        assert [len(received(sink, event)) for event in events] == [1] * 5

    def test_no_dead_letter_is_lost_when_the_broker_does_not_take_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: f"amqp://guest:guest@127.0.0.1:{free_port()}/")
        with pytest.raises(BrokerUnavailable):
            call(rmq_event("webhooks", [b"poison"]))

    def test_the_log_line_carries_the_correlation_id_and_no_secret(
        self, sink: str, merchant: UUID, caplog: pytest.LogCaptureFixture
    ) -> None:
        event = event_of(merchant, f"{sink}/ok")
        call(rmq_event("webhooks", [body_of(event)]))
        (line,) = [vars(record) for record in caplog.records if record.message == "delivered webhooks"]
        (logged,) = line["deliveries"]
        assert (logged["correlation_id"], logged["outcome"]) == ("corr-1", "delivered")
        assert "whsec_" not in str(line)

    def test_the_lanes_have_the_deadlines_of_the_settings(self) -> None:
        fast, slow = webhook_wiring.lane_of("webhooks"), webhook_wiring.lane_of("webhooks.retry")
        assert (fast.is_fast, fast.timeout_seconds) == (True, 6)
        assert (slow.is_fast, slow.timeout_seconds, slow.prompt_seconds) == (False, 15, 2)

    def test_an_invocation_without_a_batch_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            call({"Records": []})
