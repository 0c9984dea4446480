"""The pre-traffic hook: CodeDeploy moves the API's alias to a new version only after the hook reports success."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from paybridge.runners import preflight


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Report Succeeded or Failed to CodeDeploy. Any failure of the hook itself is reported as Failed."""
    ready = preflight.check_version(lambda: context.get_remaining_time_in_millis() / 1000)
    preflight.report(event["DeploymentId"], event["LifecycleEventHookExecutionId"], ready=ready)
