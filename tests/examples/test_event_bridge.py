"""The example of a listener, deployed beside a bus of the AWS fake, gets the events that it names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from local.servers import aws, moto
from local.servers.processes import Processes
from local.settings import AWS_KEYS, AWS_REGION, LocalSettings
from local.testkit.event_bus import body_of, succeeded
from local.testkit.servers import private_settings
from paybridge.bridge.domain.answers import Taken
from paybridge.bridge.domain.entries import Entry
from paybridge.bridge.event_bridge import EventBridgeBus
from paybridge.core.events import Event
from tests.support.template import ROOT

pytestmark = pytest.mark.integration

EXAMPLE = ROOT / "examples/event-bridge"
SCHEMA = json.loads((EXAMPLE / "schema.json").read_text(encoding="utf-8"))
BUS = "paybridge-test"


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalSettings, str]]:
    """The stack of the example, and the queue of its output."""
    settings = private_settings(tmp_path_factory.mktemp("moto"))
    processes = Processes(settings.state_dir)
    moto.start(settings, processes)
    aws.client(settings, "events").create_event_bus(Name=BUS)
    formation = aws.client(settings, "cloudformation")
    formation.create_stack(
        StackName="listener",
        TemplateBody=(EXAMPLE / "template.yaml").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": "EventBusName", "ParameterValue": BUS}],
    )
    (stack,) = formation.describe_stacks(StackName="listener")["Stacks"]
    yield settings, {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}["QueueUrl"]
    processes.stop()


def sent_and_delivered(listener: tuple[LocalSettings, str], events: list[Event]) -> list[dict[str, Any]]:
    """Send the events as the bridge does, and return what the queue of the example has then."""
    settings, url = listener
    answers = EventBridgeBus(BUS, 1).put([Entry(event.type, event.time, body_of(event)) for event in events], math.inf)
    assert answers == [Taken()] * len(events)
    messages = aws.client(settings, "sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    # The AWS fake leaves the account out.
    return [{"account": "123456789012", **json.loads(message["Body"])} for message in messages]


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch, listener: tuple[LocalSettings, str]) -> None:
    for name, value in {**AWS_KEYS, "AWS_DEFAULT_REGION": AWS_REGION, "AWS_ENDPOINT_URL": listener[0].aws_url}.items():
        monkeypatch.setenv(name, value)


def test_the_listener_gets_what_it_names_unchanged(listener: tuple[LocalSettings, str]) -> None:
    payment, review, refund = succeeded(), succeeded(type="payment.review"), succeeded(type="refund.failed")
    delivered = sent_and_delivered(listener, [payment, review, refund])
    assert [each["detail"] for each in delivered] == [payment.envelope(), refund.envelope()]
    for each in delivered:
        jsonschema.Draft4Validator(SCHEMA).validate(each)


def test_the_schema_refuses_what_is_no_event_of_ours(listener: tuple[LocalSettings, str]) -> None:
    (delivered,) = sent_and_delivered(listener, [succeeded()])
    validator = jsonschema.Draft4Validator(SCHEMA)
    assert validator.is_valid(delivered)
    assert not validator.is_valid({**delivered, "source": "aws.ec2"})
    assert not validator.is_valid({**delivered, "detail": {**delivered["detail"], "sequence": 3}})
