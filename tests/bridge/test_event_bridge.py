"""The bus of EventBridge: a real moto server, and an endpoint that refuses what a test says."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.servers import aws, event_bus, moto
from local.servers.processes import Processes, free_port
from local.settings import AWS_KEYS, AWS_REGION, LocalSettings
from local.testkit.event_bus import CallError, EventsEndpoint, body_of, succeeded
from local.testkit.servers import private_settings
from paybridge.bridge.domain.answers import OUT_OF_TIME, NotTaken, Taken
from paybridge.bridge.domain.entries import CALL_BYTES_MAX, Entry
from paybridge.bridge.event_bridge import EventBridgeBus

pytestmark = pytest.mark.integration

BUS = "payments-test"
NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def moto_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSettings]:
    """A running moto server with a bus."""
    settings = private_settings(tmp_path_factory.mktemp("moto"))
    processes = Processes(settings.state_dir)
    moto.start(settings, processes)
    aws.client(settings, "events").create_event_bus(Name=BUS)
    yield settings
    processes.stop()


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**AWS_KEYS, "AWS_REGION": AWS_REGION, "AWS_DEFAULT_REGION": AWS_REGION}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[EventsEndpoint]:
    with EventsEndpoint() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        yield server


def entries(*details: str) -> list[Entry]:
    return [Entry("payment.succeeded", NOW, detail) for detail in details]


def bus() -> EventBridgeBus:
    return EventBridgeBus(BUS, 8)


class TestWithMoto:
    @pytest.fixture(autouse=True)
    def at_moto(self, monkeypatch: pytest.MonkeyPatch, moto_settings: LocalSettings) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", moto_settings.aws_url)

    def test_a_rule_brings_the_event_to_a_queue_unchanged(self, moto_settings: LocalSettings) -> None:
        event = succeeded()
        with event_bus.watch(moto_settings, BUS, "unchanged") as watched:
            assert bus().put([Entry(event.type, event.time, body_of(event))], math.inf) == [Taken()]
            (delivered,) = watched.take()
        assert delivered["detail"] == event.envelope()
        assert (delivered["source"], delivered["detail-type"]) == ("paybridge", "payment.succeeded")
        # EventBridge knows no part of a second. `time` of the event itself does.
        assert datetime.fromisoformat(delivered["time"]) == event.time.replace(microsecond=0)

    def test_a_rule_chooses_by_type_and_merchant(self, moto_settings: LocalSettings) -> None:
        mine, other = succeeded(), succeeded()
        refund = succeeded(mine.merchant_id, type="refund.created")
        pattern = {"detail-type": ["payment.succeeded"], "detail": {"merchantid": [str(mine.merchant_id)]}}
        with event_bus.watch(moto_settings, BUS, "chosen", pattern) as watched:
            bus().put([Entry(event.type, event.time, body_of(event)) for event in (other, refund, mine)], math.inf)
            assert [each["detail"]["id"] for each in watched.take()] == [str(mine.id)]

    def test_an_entry_that_is_refused_leaves_the_others(self) -> None:
        refused = NotTaken("MalformedDetail", is_permanent=True)
        assert bus().put(entries("{}", "{", "{}"), math.inf) == [Taken(), refused, Taken()]


class TestAnswers:
    @pytest.mark.parametrize(
        ("code", "is_permanent"),
        [
            ("InternalFailure", False),
            ("InternalException", False),
            ("ThrottlingException", False),
            ("AccessDeniedException", False),
            ("SomethingNew", False),
            ("InvalidArgument", True),
            ("MalformedDetail", True),
            ("NotAuthorizedForSourceException", True),
        ],
    )
    def test_each_entry_has_its_own(self, endpoint: EventsEndpoint, code: str, is_permanent: bool) -> None:
        endpoint.refuse = lambda entry: code if entry["Detail"] == "2" else None
        assert bus().put(entries("1", "2", "3"), math.inf) == [Taken(), NotTaken(code, is_permanent), Taken()]
        assert endpoint.details == ["1", "3"]
        assert endpoint.calls == [3]

    @pytest.mark.parametrize(
        ("status", "code"), [(400, "ThrottlingException"), (403, "AccessDeniedException"), (500, "InternalFailure")]
    )
    def test_a_failed_call_is_tried_again_as_a_whole(self, endpoint: EventsEndpoint, status: int, code: str) -> None:
        endpoint.fail = lambda _: CallError(status, code)
        assert bus().put(entries("1", "2"), math.inf) == [NotTaken(code)] * 2
        # boto3 itself repeats nothing.
        assert endpoint.calls == [2]

    def test_an_entry_that_fails_its_call_is_found(self, endpoint: EventsEndpoint) -> None:
        endpoint.fail = lambda call: (
            CallError(400, "ValidationException") if any(entry["Detail"] == "2" for entry in call) else None
        )
        refused = NotTaken("ValidationException", is_permanent=True)
        assert bus().put(entries("1", "2", "3"), math.inf) == [Taken(), refused, Taken()]
        assert endpoint.details == ["1", "3"]

    def test_no_entry_is_sent_alone_once_the_time_is_over(self, endpoint: EventsEndpoint) -> None:
        endpoint.fail = lambda call: CallError(400, "ValidationException") if len(call) > 1 else None
        assert bus().put(entries("1", "2", "3"), -math.inf) == [NotTaken(OUT_OF_TIME)] * 3
        assert endpoint.calls == [3]

    def test_a_lost_answer_is_tried_again(self, endpoint: EventsEndpoint) -> None:
        endpoint.before_answer = lambda number: number > 1
        client = bus()
        assert client.put(entries("1"), math.inf) == [NotTaken("ConnectionClosedError")]
        assert client.put(entries("1"), math.inf) == [Taken()]
        assert endpoint.details == ["1", "1"]

    def test_nothing_listens(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        assert bus().put(entries("1"), math.inf) == [NotTaken("EndpointConnectionError")]

    def test_there_is_no_region(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.delenv(name)
        assert bus().put(entries("1"), math.inf) == [NotTaken("NoRegionError")]

    def test_a_call_is_as_eventbridge_wants_it(self, endpoint: EventsEndpoint) -> None:
        detail = json.dumps({"text": "x" * (CALL_BYTES_MAX - 100)})
        bus().put(entries(detail), math.inf)
        (sent,) = endpoint.taken
        assert sent == {
            "EventBusName": BUS,
            "Source": "paybridge",
            "DetailType": "payment.succeeded",
            "Time": NOW.timestamp(),
            "Detail": detail,
        }
