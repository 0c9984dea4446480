"""`template.yaml` as plain data, for tests that compare it with the rest of the tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags as {tag: value}, which is how its long form spells them."""


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {suffix: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {suffix: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {suffix: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tag)


def load_template(path: Path = TEMPLATE) -> dict[str, Any]:
    """The template; intrinsic functions stay unresolved, as `{"Ref": "Name"}` and the like."""
    # The loader derives from SafeLoader.
    document: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    return document


def functions(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Properties of the template's functions by logical id."""
    return {
        logical_id: resource["Properties"]
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def packages(template: dict[str, Any]) -> dict[str, str]:
    """Package of each function's handler by logical id: `api.handler.handler` is of the package `api`."""
    return {logical_id: properties["Handler"].split(".")[0] for logical_id, properties in functions(template).items()}


def queues(template: dict[str, Any]) -> list[str]:
    """Queues that the template maps to functions, one entry for each mapping."""
    return [queue for mapping in mappings(template).values() for queue in mapping["Queues"]]


def mappings(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Properties of the queue mappings by name: functions' events, and resources of their own."""
    events = {
        f"{logical_id}{name}": event
        for logical_id, properties in functions(template).items()
        for name, event in properties.get("Events", {}).items()
        if event["Type"] == "MQ"
    }
    resources = {
        logical_id: resource
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
    }
    return {name: found["Properties"] for name, found in {**events, **resources}.items()}
