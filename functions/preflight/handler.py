"""The pre-traffic hook: CodeDeploy moves the API's alias to a new version only if that says it is ready."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge import wiring
from paybridge.observability.logging import logger
from paybridge.observability.stack import frames_of

# Left over for the last try, which takes as long as the API may, and for the report.
RESERVE_SECONDS = 45.0
# A version that has just been published may be refused for a moment, and so may one more environment of a busy API.
PAUSE_SECONDS = 5.0
# Longer than the API's own timeout.
ANSWER_SECONDS_MAX = 32.0

log = logger()


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Reports Succeeded or Failed to CodeDeploy; whatever goes wrong here is Failed."""
    ready = False
    try:
        ready = _becomes_ready(wiring.environment().text("API_VERSION_ARN"), context)
    except Exception as error:  # noqa: BLE001 -- without a report CodeDeploy waits for an hour.
        log.error("cannot ask", error_type=type(error).__name__, stack=frames_of(error))  # noqa: TRY400
    _client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Succeeded" if ready else "Failed",
    )


def _becomes_ready(version_arn: str, context: LambdaContext) -> bool:
    """Whether the version says in time that it is ready."""
    while not _is_ready(version_arn):
        if context.get_remaining_time_in_millis() / 1000 - PAUSE_SECONDS < RESERVE_SECONDS:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _is_ready(version_arn: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # The version itself and not the alias, which still leads to the old one.
        answer = _client("lambda").invoke(FunctionName=version_arn, Payload=json.dumps(_readiness_request()))
    except (BotoCoreError, ClientError) as error:
        log.warning("not answered", extra={"version": version_arn, "reason": str(error)})
        return False
    payload = json.loads(answer["Payload"].read())
    # A function that fails answers with its error, which has no status.
    status = payload.get("statusCode") if "FunctionError" not in answer else None
    log.info("answered", extra={"version": version_arn, "status": status, "answer": payload})
    return bool(status == 200)


def _readiness_request() -> dict[str, Any]:
    """The event that API Gateway makes of GET /health/ready."""
    path = "/health/ready"
    http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "preflight"}
    return {
        "version": "2.0",
        "routeKey": "ANY /{proxy+}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"accept": "application/json"},
        "requestContext": {"requestId": "preflight", "stage": "$default", "http": http},
        "isBase64Encoded": False,
    }


@cache
def _client(service: str) -> Any:
    # A second for those who import this without needing AWS, such as the tests of the template.
    import boto3
    from botocore.config import Config

    # A call that went unanswered is repeated here and not below: the API's own time is long.
    tries = 1 if service == "lambda" else 5
    retries = {"mode": "standard", "total_max_attempts": tries}
    return boto3.client(service, config=Config(connect_timeout=5, read_timeout=ANSWER_SECONDS_MAX, retries=retries))
