"""The pre-traffic hook as CodeDeploy calls it. AWS is stubbed, because moto runs no functions and no deployments."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from local.testkit.api import ApiClient, api_client, event_loop
from paybridge import wiring
from paybridge.core.errors import BrokerUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.runners import preflight as runner
from paybridge.wiring.settings import Settings
from preflight import handler as preflight

VERSION = "arn:aws:lambda:eu-central-1:123456789012:function:paybridge-dev-api:7"
HOOK = {"DeploymentId": "d-ABCDEF123", "LifecycleEventHookExecutionId": "eyJlbmNyeXB0ZWREYXRhIjoi"}
READY = {"statusCode": 200, "headers": {}, "body": '{"status":"ready"}', "isBase64Encoded": False}
NOT_READY = {"statusCode": 503, "headers": {}, "body": '{"detail":"Not ready: schema."}', "isBase64Encoded": False}


class Context:
    """Lambda's context, whose time passes only in `sleep`."""

    def __init__(self) -> None:
        self.seconds = 120.0

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)

    def sleep(self, seconds: float) -> None:
        self.seconds -= seconds


class Aws:
    """Lambda and CodeDeploy. Every call must be expected."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.stubs: dict[str, Stubber] = {}
        for service in ("lambda", "codedeploy"):
            client = boto3.client(service, "eu-central-1", aws_access_key_id="k", aws_secret_access_key="s")
            self.clients[service], self.stubs[service] = client, Stubber(client)
            self.stubs[service].activate()

    def answers(self, payload: Any, **more: Any) -> None:
        """Let the new version answer this."""
        response = {"StatusCode": 200, "Payload": io.BytesIO(json.dumps(payload).encode()), **more}
        self.stubs["lambda"].add_response("invoke", response, {"FunctionName": VERSION, "Payload": ANY})

    def refuses(self, code: str) -> None:
        """Let Lambda refuse to invoke the new version."""
        self.stubs["lambda"].add_client_error("invoke", code)

    def expects(self, status: str) -> None:
        """Expect this report to CodeDeploy."""
        report = {
            "deploymentId": HOOK["DeploymentId"],
            "lifecycleEventHookExecutionId": HOOK["LifecycleEventHookExecutionId"],
            "status": status,
        }
        self.stubs["codedeploy"].add_response("put_lifecycle_event_hook_execution_status", {}, report)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Context:
    context = Context()
    monkeypatch.setattr("time.sleep", context.sleep)
    monkeypatch.setattr(wiring, "environment", lambda: Settings({"API_VERSION_ARN": VERSION}))
    return context


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    aws = Aws()
    monkeypatch.setattr(runner, "_client", aws.clients.__getitem__)
    yield aws
    for stub in aws.stubs.values():
        stub.assert_no_pending_responses()


def call(context: Context) -> None:
    preflight.handler(dict(HOOK), context)  # type: ignore[arg-type]


class TestHandler:
    def test_a_ready_version_may_take_traffic(self, aws: Aws, context: Context) -> None:
        aws.answers(READY)
        aws.expects("Succeeded")
        call(context)

    def test_a_version_that_becomes_ready_may_take_traffic(self, aws: Aws, context: Context) -> None:
        # Just published, then all of the API's environments are busy, then the broker is still down.
        aws.refuses("ResourceConflictException")
        aws.refuses("TooManyRequestsException")
        aws.answers(NOT_READY)
        aws.answers(READY)
        aws.expects("Succeeded")
        call(context)

    def test_a_version_that_stays_unready_may_not_and_lambda_has_time_left(self, aws: Aws, context: Context) -> None:
        for _ in range(15):
            aws.answers(NOT_READY)
        aws.expects("Failed")
        call(context)
        assert context.seconds >= runner.RESERVE_SECONDS

    def test_a_version_that_cannot_even_start_may_not(self, aws: Aws, context: Context) -> None:
        for _ in range(15):
            aws.answers({"errorType": "Runtime.ImportModuleError", "statusCode": 200}, FunctionError="Unhandled")
        aws.expects("Failed")
        call(context)

    @pytest.mark.parametrize("nonsense", [None, [], "ready"])
    def test_an_answer_that_is_not_http_is_a_failure(self, aws: Aws, context: Context, nonsense: Any) -> None:
        aws.answers(nonsense)
        aws.expects("Failed")
        call(context)

    def test_an_error_of_the_hook_itself_is_a_failure(
        self, aws: Aws, context: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(wiring, "environment", lambda: Settings({}))
        aws.expects("Failed")
        call(context)

    def test_the_client_waits_longer_than_the_api_may_take(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        config = runner._client.__wrapped__("lambda").meta.config
        assert config.read_timeout > 29
        assert config.retries["total_max_attempts"] == 1


class DeadBroker:
    """A broker that does not answer."""

    def check(self) -> None:
        raise BrokerUnavailable("The broker is away.")


@pytest.mark.integration
class TestRequest:
    """The API answers the event as it answers API Gateway's."""

    @pytest.fixture
    def apis(self, database_address: DatabaseAddress) -> Iterator[tuple[ApiClient, ApiClient]]:
        with event_loop():
            database = Database(database_address)
            yield api_client(database), api_client(database, broker=DeadBroker())
            database.close()

    def test_is_answered_200_when_ready_and_503_when_not(self, apis: tuple[ApiClient, ApiClient]) -> None:
        ready, unready = (api._handler(runner._readiness_request(), None) for api in apis)
        assert (ready["statusCode"], json.loads(ready["body"])["status"]) == (200, "ready")
        assert unready["statusCode"] == 503
