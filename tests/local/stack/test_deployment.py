"""The functions of a deployed stack: which are invoked, and by which name."""

from __future__ import annotations

from typing import Any

import pytest

from local.servers import aws
from local.settings import LocalSettings
from local.stack import deployment

ALIAS = "arn:aws:lambda:eu-central-1:000000000000:function:paybridge-local-api:live"
RESOURCES = [
    ("ApiFunction", "AWS::Lambda::Function", "paybridge-local-api"),
    ("ApiFunctionAliaslive", "AWS::Lambda::Alias", ALIAS),
    ("ApiFunctionVersion0a1b", "AWS::Lambda::Version", f"{ALIAS.removesuffix(':live')}:1"),
    ("MigrateFunction", "AWS::Lambda::Function", "paybridge-local-migrate"),
    ("HttpApi", "AWS::ApiGatewayV2::Api", "a1b2c3"),
]


class CloudFormation:
    """One stack with these resources."""

    def __init__(self, resources: list[tuple[str, str, str]]) -> None:
        self._resources = resources

    def describe_stack_resources(self, StackName: str) -> dict[str, Any]:  # noqa: N803
        assert StackName == "paybridge-local"
        names = ("LogicalResourceId", "ResourceType", "PhysicalResourceId")
        return {"StackResources": [dict(zip(names, resource, strict=True)) for resource in self._resources]}


def read(monkeypatch: pytest.MonkeyPatch, resources: list[tuple[str, str, str]]) -> deployment.DeployedStack:
    monkeypatch.setattr(aws, "client", lambda _settings, _service: CloudFormation(resources))
    return deployment.read(LocalSettings())


class TestRead:
    def test_prefers_the_alias_and_takes_the_function_without_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read(monkeypatch, RESOURCES)
        assert found.functions == {"ApiFunction": ALIAS, "MigrateFunction": "paybridge-local-migrate"}
        assert found.api_id == "a1b2c3"

    def test_knows_of_endpoints_without_http_apis(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read(monkeypatch, RESOURCES[:4])
        assert found.api_id is None
        assert deployment.api_host(LocalSettings(), found) is None


class TestApiHost:
    def test_names_api_and_port(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = read(monkeypatch, RESOURCES)
        assert deployment.api_host(LocalSettings(aws_port=4567), found) == "a1b2c3.execute-api.localhost:4567"
