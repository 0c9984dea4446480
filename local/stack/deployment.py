"""The stack as it was deployed to an endpoint: what its functions are called there, and what the endpoint left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.sam_template.template import FunctionDefinition, Template
from local.bridge.schedules import schedule_event
from local.servers import aws
from local.settings import LocalSettings
from local.stack.sam import STACK_NAME

ALIAS = "live"


@dataclass(frozen=True, slots=True)
class Deployment:
    """Names of the functions by logical id, where there is an alias its ARN, and the id of the HTTP API, if any."""

    functions: Mapping[str, str]
    api_id: str | None


def read(settings: LocalSettings) -> Deployment:
    """What CloudFormation says is deployed."""
    resources = aws.client(settings, "cloudformation").describe_stack_resources(StackName=STACK_NAME)["StackResources"]
    physical = {item["LogicalResourceId"]: (item["ResourceType"], item["PhysicalResourceId"]) for item in resources}
    functions = {}
    for logical_id, (kind, name) in physical.items():
        if kind == "AWS::Lambda::Function":
            # SAM's name for the alias of a function; its physical id is its ARN.
            _, functions[logical_id] = physical.get(f"{logical_id}Alias{ALIAS}", (kind, name))
    apis = [name for kind, name in physical.values() if kind == "AWS::ApiGatewayV2::Api"]
    return Deployment(functions, apis[0] if apis else None)


def complete_api(settings: LocalSettings, deployment: Deployment, template: Template) -> None:
    """Give the HTTP API the routes that an endpoint does not read from the API's OpenAPI body."""
    if deployment.api_id is None:
        return
    api = aws.client(settings, "apigatewayv2")
    if api.get_routes(ApiId=deployment.api_id)["Items"]:
        return
    for function in template.functions.values():
        if function.http:
            _add_routes(settings, deployment, function)


def _add_routes(settings: LocalSettings, deployment: Deployment, function: FunctionDefinition) -> None:
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


def fire_schedules(settings: LocalSettings, deployment: Deployment, template: Template) -> None:
    """Invoke what is scheduled for the first time: a rate begins to count when it is made, and nobody waits for it."""
    client = aws.client(settings, "lambda")
    for function in template.functions.values():
        for schedule in function.schedules:
            client.invoke(
                FunctionName=deployment.functions[function.logical_id],
                InvocationType="Event",
                Payload=schedule_event(schedule, template.region),
            )


def remove(settings: LocalSettings) -> bool:
    """Delete the stack from an endpoint that goes on running, where its schedules would call functions for ever.

    False where the endpoint does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        aws.client(settings, "cloudformation").delete_stack(StackName=STACK_NAME)
    except (BotoCoreError, ClientError):
        return False
    return True


def api_host(settings: LocalSettings, deployment: Deployment) -> str | None:
    """The Host by which the endpoint knows requests to the HTTP API; None where it has none."""
    if deployment.api_id is None:
        return None
    return f"{deployment.api_id}.execute-api.localhost:{urlsplit(settings.aws_url).port}"


def _arn(settings: LocalSettings, function: str) -> str:
    """The ARN of a function that may be known by its name only."""
    if function.startswith("arn:"):
        return function
    configuration = aws.client(settings, "lambda").get_function_configuration(FunctionName=function)
    return str(configuration["FunctionArn"])
