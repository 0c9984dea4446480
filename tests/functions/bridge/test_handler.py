"""The bridge function as Lambda calls it, with a real database and broker and an EventBridge that a test directs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from bridge import handler as bridge
from local.settings import AWS_KEYS, AWS_REGION
from local.testkit.event_bus import CallError, EventsEndpoint, body_of, succeeded
from local.testkit.queues import take_all
from local.testkit.rmq import rmq_event
from local.testkit.servers import Vhost
from paybridge import wiring
from paybridge.bridge import send
from paybridge.bridge.domain.entries import CALL_BYTES_MAX
from paybridge.core.errors import DatabaseUnavailable, MalformedMessage
from paybridge.core.events import BRIDGE_EVENT
from paybridge.database.database import Database, Statement
from paybridge.runners import batch as skeleton
from paybridge.runners import bridge as runner
from paybridge.wiring import bridge as bridge_wiring
from paybridge.wiring import broker as broker_wiring
from paybridge.wiring.settings import Settings
from tests.support.metrics import metrics_of, of

pytestmark = [pytest.mark.integration, pytest.mark.broker]

SETTINGS = {"ENVIRONMENT_NAME": "test", "EVENT_BUS": "payments-test", "BRIDGE_RETRY_DELAYS_SECONDS": "1,2"}
COMMANDS = Statement(f"SELECT body FROM outbox WHERE type = '{BRIDGE_EVENT}' ORDER BY id")  # noqa: S608
CLEAR = Statement(f"DELETE FROM outbox WHERE type = '{BRIDGE_EVENT}'")  # noqa: S608
RECORDED = Statement("SELECT count(*) FROM bridge.sent_events WHERE event_id = ANY (:ids::uuid[])")


@pytest.fixture(autouse=True)
def endpoint(monkeypatch: pytest.MonkeyPatch, database: Database, vhost: Vhost) -> Iterator[EventsEndpoint]:
    """Wire the function to the test's servers."""
    monkeypatch.setattr(send, "PAUSES_SECONDS", (0.0,))
    monkeypatch.setattr(wiring, "database", lambda: database)
    monkeypatch.setattr(wiring, "environment", lambda: Settings(SETTINGS))
    monkeypatch.setattr(broker_wiring, "rabbitmq_url", lambda: vhost.amqp_url)
    monkeypatch.setattr(bridge_wiring, "event_bus", bridge_wiring.event_bus.__wrapped__)
    for name, value in {**AWS_KEYS, "AWS_REGION": AWS_REGION, "AWS_DEFAULT_REGION": AWS_REGION}.items():
        monkeypatch.setenv(name, value)
    with EventsEndpoint() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server
    database.run(CLEAR)


def call(*bodies: str | bytes) -> dict[str, int]:
    encoded = [body if isinstance(body, bytes) else body.encode() for body in bodies]
    return bridge.handler(rmq_event("bridge", encoded), None)  # type: ignore[arg-type]


def commands(database: Database) -> list[str]:
    return [row[0] for row in database.run(COMMANDS)]


def left(vhost: Vhost, queue: str) -> list[Any]:
    return asyncio.run(take_all(vhost.amqp_url, queue))


class TestHandler:
    def test_a_batch_arrives_unchanged_and_is_recorded(
        self, endpoint: EventsEndpoint, database: Database, caplog: pytest.LogCaptureFixture
    ) -> None:
        bodies = [body_of(succeeded()) for _ in range(12)]
        # What another release adds is carried as well, and so is white space.
        bodies[0] = bodies[0][:-1] + ', "traceparent": "00-1"}'
        assert call(*bodies) == {"messages": 12, "sent": 12, "retried": 0, "poison": 0}
        assert sorted(endpoint.details) == sorted(bodies)
        ids = [orjson.loads(body)["id"] for body in bodies]
        assert [[*row] for row in database.run(RECORDED, ids="{" + ",".join(ids) + "}")] == [[12]]
        (entry,) = [each for each in endpoint.taken if each["Detail"] == bodies[0]]
        assert (entry["EventBusName"], entry["DetailType"]) == ("payments-test", "payment.succeeded")
        assert metrics_of(caplog.records) == {
            ("BridgedEvents", of("test")): [12.0],
            ("BridgedEvents", of("test", Result="sent")): [12.0],
        }
        assert "100.50" not in caplog.text

    def test_a_failed_event_arrives_by_its_command(self, endpoint: EventsEndpoint, database: Database) -> None:
        good, bad = body_of(succeeded()), body_of(succeeded())
        endpoint.refuse = lambda entry: "InternalFailure" if entry["Detail"] == bad else None
        assert call(good, bad) == {"messages": 2, "sent": 1, "retried": 1, "poison": 0}
        (command,) = commands(database)
        endpoint.refuse = lambda _: None
        assert call(command)["sent"] == 1
        assert endpoint.details == [good, bad]

    def test_the_last_attempt_is_dead_lettered_as_the_event_itself(
        self, endpoint: EventsEndpoint, database: Database, vhost: Vhost
    ) -> None:
        body = body_of(succeeded())
        endpoint.fail = lambda _: CallError(400, "ThrottlingException")
        assert call(body)["retried"] == 1
        for attempt in (2, 3):
            assert call(commands(database)[-1])["poison"] == (attempt == 3)
        (letter,) = left(vhost, "payments.dead")
        assert letter.body.decode() == body
        assert letter.message_id == orjson.loads(body)["id"]
        assert letter.headers["x-paybridge-queue"] == "bridge"
        assert letter.headers["x-paybridge-reason"] == "EventBridge took it in none of 3 attempts: ThrottlingException"

    def test_what_is_refused_is_dead_lettered_and_the_others_arrive(
        self, endpoint: EventsEndpoint, vhost: Vhost
    ) -> None:
        good, bad = body_of(succeeded()), body_of(succeeded())
        large = body_of(succeeded(data={"text": "x" * CALL_BYTES_MAX}))
        no_event = body_of(succeeded(type=BRIDGE_EVENT, sequence=None, data={"attempt": 2, "event": "{}"}))
        no_attempt = body_of(succeeded(type=BRIDGE_EVENT, sequence=None, data={"attempt": True, "event": good}))
        command = body_of(succeeded(type=BRIDGE_EVENT, sequence=None, data={"attempt": 2, "event": no_event}))
        endpoint.refuse = lambda entry: "MalformedDetail" if entry["Detail"] == bad else None
        strange = body_of(succeeded(type="payment.exploded"))
        done = call(b"{", no_event, no_attempt, command, strange, large, bad, good)
        assert (done["sent"], done["poison"]) == (1, 7)
        assert endpoint.details == [good]
        reasons = [one.headers["x-paybridge-reason"] for one in left(vhost, "payments.dead")]
        assert len(reasons) == 7
        for part in ("JSON", "carries no event", "unknown type", "larger", "MalformedDetail"):
            assert any(part in reason for reason in reasons), part

    def test_without_a_database_all_returns_to_the_queue(
        self, endpoint: EventsEndpoint, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is on the bus is not sent again, though the batch is worked on twice. It returns to be recorded."""

        def unavailable(*_: object) -> None:
            raise DatabaseUnavailable("down")

        monkeypatch.setattr(bridge, "DATABASE_PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(skeleton, "BUSY_PAUSE_SECONDS_MIN", 0.01)
        monkeypatch.setattr(skeleton, "BUSY_PAUSE_SECONDS_MAX", 0.05)
        monkeypatch.setattr(runner, "note", unavailable)
        good, bad, broken = body_of(succeeded()), body_of(succeeded()), b"{}"
        endpoint.refuse = lambda entry: "InternalFailure" if entry["Detail"] == bad else None
        done = call(good, bad, broken)
        assert (done["messages"], done["handed_back"]) == (2, 2)
        assert endpoint.details == [good]
        assert [one.body.decode() for one in left(vhost, "bridge")] == [good, bad]
        assert [one.body for one in left(vhost, "payments.dead")] == [broken]

    def test_an_invocation_of_another_kind_is_refused(self) -> None:
        with pytest.raises(MalformedMessage):
            bridge.handler({"Records": []}, None)  # type: ignore[arg-type]
