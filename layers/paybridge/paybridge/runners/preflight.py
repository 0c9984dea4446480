"""Ask a new version of the API whether it is ready, and report the answer to CodeDeploy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from paybridge.core.causes import cause_of, causes_of
from paybridge.observability.logging import logger
from paybridge.observability.stack import stack_frames
from paybridge.wiring import operations

# Left over for the last try, which takes as long as the API may, and for the report.
RESERVE_SECONDS = 45.0
# A version that has just been published may be refused for a moment, and so may one more environment of a busy API.
PAUSE_SECONDS = 5.0
# Longer than the API's own timeout.
ANSWER_SECONDS_MAX = 32.0

log = logger()


def check_version(remaining_seconds: Callable[[], float]) -> bool:
    """Return whether the new version is ready in time. Any failure counts as not ready."""
    try:
        return _becomes_ready(operations.api_version_arn(), remaining_seconds)
    except Exception as error:  # noqa: BLE001 -- without a report CodeDeploy waits for an hour.
        kind, cause = type(error).__name__, causes_of(error)
        log.error("cannot ask", extra={"error_type": kind, "cause": cause, "stack": stack_frames(error)})  # noqa: TRY400
        return False


def report(deployment_id: str, execution_id: str, *, ready: bool) -> None:
    """Tell CodeDeploy whether the hook succeeded. Raises botocore's errors."""
    _client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=deployment_id,
        lifecycleEventHookExecutionId=execution_id,
        status="Succeeded" if ready else "Failed",
    )


def _becomes_ready(version_arn: str, remaining_seconds: Callable[[], float]) -> bool:
    while not _is_ready(version_arn):
        if remaining_seconds() - PAUSE_SECONDS < RESERVE_SECONDS:
            return False
        time.sleep(PAUSE_SECONDS)
    return True


def _is_ready(version_arn: str) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        # The version itself and not the alias, which still leads to the old one.
        answer = _client("lambda").invoke(FunctionName=version_arn, Payload=json.dumps(_readiness_request()))
    except (BotoCoreError, ClientError) as error:
        log.warning("not answered", extra={"version": version_arn, "reason": cause_of(error)})
        return False
    payload = json.loads(answer["Payload"].read())
    # A function that fails answers with its error, which has no status.
    status = payload.get("statusCode") if "FunctionError" not in answer else None
    log.info("answered", extra={"version": version_arn, "status": status, "answer": payload})
    return bool(status == 200)


def _readiness_request() -> dict[str, Any]:
    """Return the event that API Gateway makes of GET /health/ready."""
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
    # boto3 takes a second to import; tests import this module without AWS.
    import boto3
    from botocore.config import Config

    # `_becomes_ready` repeats an unanswered call to the API, whose time limit is long. botocore must not repeat it too.
    tries = 1 if service == "lambda" else 5
    retries = {"mode": "standard", "total_max_attempts": tries}
    return boto3.client(service, config=Config(connect_timeout=5, read_timeout=ANSWER_SECONDS_MAX, retries=retries))
