"""`make localstack` with MiniStack: the template deployed, a payment through its API, and nothing left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from local.commands import demo
from local.servers import aws, ministack, postgres
from local.servers.processes import is_alive, running
from local.settings import LocalSettings
from local.stack import deployment, seed
from local.stack.seed import DEMO_API_KEY
from local.testkit import live
from local.testkit.servers import private_settings
from tests.support import template as templates
from tests.support.foreground import TIMELINE, Foreground, foreground

# Building, deploying and the first start of every function, on a machine that is busy with other tests.
pytestmark = [
    pytest.mark.localstack,
    pytest.mark.usefixtures("sam_environment", "localstack_environment"),
    pytest.mark.timeout(400),
]
START_SECONDS_MAX = 300


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[LocalSettings]:
    own = private_settings(tmp_path / "state")
    yield own
    postgres.remove_data(own)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Foreground, LocalSettings]]:
    """The running command, once it has sent its payment."""
    settings = private_settings(tmp_path_factory.mktemp("localstack"))
    with foreground(settings, "localstack") as started:
        started.until_it_may_be_stopped(START_SECONDS_MAX)
        yield started, settings
    postgres.remove_data(settings)


def test_shows_the_payment_from_request_to_verified_webhook(command: tuple[Foreground, LocalSettings]) -> None:
    started, _ = command
    assert started.timeline() == TIMELINE


def test_deploys_everything_that_the_template_has(command: tuple[Foreground, LocalSettings]) -> None:
    _, settings = command
    template = templates.load_template()
    cloudformation = aws.client(settings, "cloudformation")
    [stack] = cloudformation.describe_stacks(StackName="paybridge-local")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    resources = cloudformation.describe_stack_resources(StackName="paybridge-local")["StackResources"]
    deployed = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources}
    own = {name: resource for name, resource in template["Resources"].items() if "Condition" not in resource}
    # A layer's logical id ends with a digest of its content.
    layers = {name for name, resource in own.items() if resource["Type"] == "AWS::Serverless::LayerVersion"}
    unknown_to_ministack = {
        name
        for name, resource in own.items()
        if "Metrics" in resource.get("Properties", {}) or resource["Type"] == "AWS::SecretsManager::RotationSchedule"
    }
    assert own.keys() - layers - deployed.keys() == unknown_to_ministack
    kinds = list(deployed.values())
    aliases = [function for function in templates.functions(template).values() if "AutoPublishAlias" in function]
    assert kinds.count("AWS::Lambda::Alias") == len(aliases)
    invoked = deployment.read(settings).functions
    assert len([name for name in invoked.values() if name.endswith(":live")]) == len(aliases)
    assert deployed["Migration"] == "Custom::Migration"
    assert kinds.count("AWS::Lambda::Function") == len(templates.functions(template))
    assert kinds.count("AWS::Scheduler::Schedule") == 4
    events = [
        event
        for function in templates.functions(template).values()
        for event in (function.get("Events") or {}).values()
    ]
    mappings = [event for event in events if event["Type"] == "MQ"]
    assert kinds.count("AWS::Lambda::EventSourceMapping") == len(mappings)
    assert kinds.count("AWS::Lambda::LayerVersion") == len(layers)


def test_the_deployed_api_and_the_usual_port_lead_to_the_same_functions(
    command: tuple[Foreground, LocalSettings],
) -> None:
    _, settings = command
    host = deployment.api_host(settings, deployment.read(settings))
    assert host is not None
    key = {"X-API-Key": DEMO_API_KEY}
    body = {"amount": "7.00", "currency": "EUR", "payment_method": "tok_decline"}
    with httpx.Client(trust_env=False, timeout=30, headers=key) as client:
        made = client.post(
            f"{settings.aws_url}/api/v1/payments", json=body, headers={"Idempotency-Key": "one", "Host": host}
        )
        assert made.status_code == 202
        url = f"{settings.api_url}/api/v1/payments/{made.json()['payment_id']}"
        declined = live.eventually(
            lambda: payment if (payment := client.get(url).json())["status"] == "failed" else None, "the decline", 60
        )
    assert declined["failure_code"] == "card_declined"


def test_the_endpoint_has_secrets_parameters_bucket_and_bus(command: tuple[Foreground, LocalSettings]) -> None:
    _, settings = command
    parameters = [f"/paybridge/dev/{name}" for name in ("archive/bucket", "events/bus-name", "database/secret-id")]
    found = aws.client(settings, "ssm").get_parameters(Names=parameters)["Parameters"]
    values = {parameter["Name"].removeprefix("/paybridge/dev/"): parameter["Value"] for parameter in found}
    aws.client(settings, "s3").head_bucket(Bucket=values["archive/bucket"])
    aws.client(settings, "events").describe_event_bus(Name=values["events/bus-name"])
    secret = aws.client(settings, "secretsmanager").get_secret_value(SecretId=values["database/secret-id"])
    assert json.loads(secret["SecretString"]).keys() >= {"username", "password"}
    # What is there already is left as it is.
    seed.create_archive_and_bus(settings)


def test_functions_write_to_the_log_groups_of_the_template(command: tuple[Foreground, LocalSettings]) -> None:
    started, settings = command
    demo.run(settings)
    events = aws.client(settings, "logs").filter_log_events(logGroupName="/aws/lambda/paybridge-local-consumer")
    assert events["events"]
    live.eventually(lambda: started.prints("payment succeeded"), "the consumer's log in the terminal")
    assert live.leaks(settings.logs_dir) == []


def test_ctrl_c_ends_all_of_it(command: tuple[Foreground, LocalSettings]) -> None:
    started, settings = command
    family = psutil.Process(started.process.pid).children(recursive=True)
    assert len(family) > len(running(settings.state_dir)) >= 7
    started.process.send_signal(signal.SIGINT)
    assert started.wait() == 0
    assert started.errors == []
    assert [process for process in family if is_alive(process)] == []
    assert running(settings.state_dir) == {}


def test_a_taken_port_is_one_sentence(settings: LocalSettings) -> None:
    with socket.create_server(("127.0.0.1", settings.aws_port)), foreground(settings, "localstack") as started:
        assert started.wait() == 1
    (sentence,) = started.errors
    assert "PAYBRIDGE_LOCAL_AWS_PORT" in sentence


def test_an_endpoint_that_does_not_answer_is_one_sentence(settings: LocalSettings) -> None:
    unreachable = replace(settings, aws_endpoint=f"http://127.0.0.1:{settings.aws_port}")
    with foreground(unreachable, "localstack") as started:
        assert started.wait() == 1
    (sentence,) = started.errors
    assert "PAYBRIDGE_LOCAL_AWS_URL" in sentence
    assert running(settings.state_dir) == {}


@pytest.mark.parametrize("own", ["workers", "compose"])
def test_what_takes_no_part_in_it_is_refused(settings: LocalSettings, own: str) -> None:
    given: dict[str, Any] = {own: 1}
    with foreground(replace(settings, **given), "localstack") as started:
        assert started.wait() == 1
    (sentence,) = started.errors
    assert f"PAYBRIDGE_LOCAL_{own.upper()}" in sentence


def test_ministack_is_never_reached_from_elsewhere(settings: LocalSettings) -> None:
    environment = ministack._environment(settings, settings.state_dir)
    assert environment["BIND_HOST"] == "127.0.0.1"
    assert environment["IOT_MTLS_ENABLED"] == "0"
    assert subprocess.run([ministack.PYTHON, "-c", "import ministack"], check=False).returncode == 0
