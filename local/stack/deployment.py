"""The stack as deployed to an endpoint: the names of its functions there, and what the endpoint left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.sam_template.definitions import FunctionDefinition, Template
from local.bridge.schedules import schedule_event
from local.servers import aws
from local.settings import LocalSettings
from local.stack.sam import STACK_NAME

ALIAS = "live"


@dataclass(frozen=True, slots=True)
class DeployedStack:
    """Name of each function by logical id (its alias's ARN if it has an alias), and the id of the HTTP API, if any."""

    functions: Mapping[str, str]
    api_id: str | None


def read(settings: LocalSettings) -> DeployedStack:
    """Ask CloudFormation what is deployed."""
    resources = aws.client(settings, "cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    physical = {item["LogicalResourceId"]: (item["ResourceType"], item["PhysicalResourceId"]) for item in resources}
    functions = {}
    for logical_id, (kind, name) in physical.items():
        if kind == "AWS::Lambda::Function":
            # SAM's name for the alias of a function; its physical id is its ARN.
            _, functions[logical_id] = physical.get(f"{logical_id}Alias{ALIAS}", (kind, name))
    apis = [name for kind, name in physical.values() if kind == "AWS::ApiGatewayV2::Api"]
    return DeployedStack(functions, apis[0] if apis else None)


def complete_api(settings: LocalSettings, deployment: DeployedStack, template: Template) -> None:
    """Give the HTTP API the routes that an endpoint does not read from the API's OpenAPI body."""
    if deployment.api_id is None:
        return
    api = aws.client(settings, "apigatewayv2")
    if api.get_routes(ApiId=deployment.api_id)["Items"]:
        return
    for function in template.functions.values():
        if function.http:
            _add_routes(settings, deployment, function)


def _add_routes(settings: LocalSettings, deployment: DeployedStack, function: FunctionDefinition) -> None:
    api = aws.client(settings, "apigatewayv2")
    integration = api.create_integration(
        ApiId=deployment.api_id,
        IntegrationType="AWS_PROXY",
        IntegrationUri=_arn(settings, deployment.functions[function.logical_id]),
        PayloadFormatVersion="2.0",
    )
    target = f"integrations/{integration['IntegrationId']}"
    for event in function.http:
        api.create_route(ApiId=deployment.api_id, RouteKey=f"{event.method} {event.path}", Target=target)


def fire_schedules(settings: LocalSettings, deployment: DeployedStack, template: Template) -> None:
    """Invoke each scheduled function once now: its first regular run is a whole period away."""
    client = aws.client(settings, "lambda")
    for function in template.functions.values():
        for schedule in function.schedules:
            client.invoke(
                FunctionName=deployment.functions[function.logical_id],
                InvocationType="Event",
                Payload=schedule_event(schedule, template.region),
            )


def remove(settings: LocalSettings) -> bool:
    """Delete the stack from an endpoint that keeps running, where its schedules would invoke functions forever.

    Return False if the endpoint does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        aws.client(settings, "cloudformation").delete_stack(StackName=STACK_NAME)
    except (BotoCoreError, ClientError):
        return False
    return True


def api_host(settings: LocalSettings, deployment: DeployedStack) -> str | None:
    """Return the Host header by which the endpoint routes to the HTTP API, or None if it has none."""
    if deployment.api_id is None:
        return None
    return f"{deployment.api_id}.execute-api.localhost:{urlsplit(settings.aws_url).port}"


def _arn(settings: LocalSettings, function: str) -> str:
    """Return the ARN of a function that is given by name or ARN."""
    if function.startswith("arn:"):
        return function
    configuration = aws.client(settings, "lambda").get_function_configuration(FunctionName=function)
    return str(configuration["FunctionArn"])
