"""Terraform, the template and the topology file name the same parameters, functions and queues.

Read without Terraform; each rule is proved by a planted violation.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from local.settings import PROJECT
from paybridge.outbox.consumers import EVENT_CONSUMERS
from paybridge.outbox.queues import DEAD_LETTER_QUEUES, REDRIVE_QUEUES
from paybridge.outbox.routes import EVENTS_EXCHANGE, REDRIVE_EXCHANGE
from tests.support import hcl
from tests.support import template as templates

TERRAFORM = PROJECT / "infra/terraform"
# CodeDeploy's role may invoke functions with this prefix only. They need no alarm: a failed hook fails its deployment.
HOOK = "CodeDeployHook_"
# How Terraform reads the names of the functions from the template.
FUNCTION_NAMES = r'regexall\("(.+)", file\("\$\{path\.module\}/\.\./\.\./\.\./template\.yaml"\)\)'


@dataclass(frozen=True, slots=True)
class Sources:
    """What the rules compare."""

    template: dict[str, Any]
    template_text: str
    samconfig: str
    topology: dict[str, Any]
    # The .tf files of these folders by name.
    platform: dict[str, str]
    alarms: dict[str, str]


SOURCES = Sources(
    template=templates.load_template(),
    template_text=templates.TEMPLATE.read_text(encoding="utf-8"),
    samconfig=(PROJECT / "samconfig.toml").read_text(),
    topology=json.loads((PROJECT / "infra/topology.json").read_text()),
    platform=hcl.texts_of(TERRAFORM / "platform"),
    alarms=hcl.texts_of(TERRAFORM / "modules/alarms"),
)


def unwritten_parameters(sources: Sources) -> Iterator[str]:
    """SSM parameters that the template reads and Terraform does not write, or writes with another type."""
    written = hcl.read(sources.platform).locals
    for name, parameter in sources.template["Parameters"].items():
        if parameter["Type"].startswith("AWS::SSM::Parameter::Value<"):
            prefix, _, path = parameter["Default"].partition("/dev/")
            kind = "list_parameters" if "<List<" in parameter["Type"] else "parameters"
            if prefix != "/paybridge" or path not in written[kind]:
                yield f"{name} reads {parameter['Default']}"


def strange_overrides(sources: Sources) -> Iterator[str]:
    """SSM parameters of prod in samconfig.toml that differ from the template's by more than the environment."""
    for name, path in re.findall(r'"(\w+)=/paybridge/prod/([^"]+)"', sources.samconfig):
        if sources.template["Parameters"].get(name, {}).get("Default") != f"/paybridge/dev/{path}":
            yield f"{name} reads {path}"


def unshared_functions(sources: Sources) -> Iterator[str]:
    """Functions of the template that Terraform does not find there, without the prefix."""
    names = [properties["FunctionName"]["Sub"] for properties in templates.functions(sources.template).values()]
    declared = {name.removeprefix("paybridge-${EnvironmentName}-") for name in names if not name.startswith(HOOK)}
    expression = re.search(FUNCTION_NAMES, hcl.read(sources.platform).locals["function_names"])
    read = re.findall(expression[1].replace("\\\\", "\\"), sources.template_text) if expression else []
    yield from declared ^ set(read)


def unwatched(sources: Sources) -> Iterator[str]:
    """Ways in which alarms and dashboard could miss a function or a queue."""
    root = hcl.read(sources.platform)
    queues = root.reach_of("${local.queues}")
    for part in ('file("${path.module}/../../topology.json")', "local.topology.queues", "local.topology.shards"):
        if part not in queues:
            yield f"local.queues has nothing of {part}"
    for module in ("alarms", "dashboard"):
        for argument in ("functions", "queues"):
            if root.modules[module].get(argument) != f"${{local.{argument}}}":
                yield f"module {module} gets other {argument}"
    if 'FunctionName = "paybridge-${var.environment}-${function}"' not in "".join(sources.alarms.values()):
        yield "alarms and template name functions differently"


def unrecorded_queues(sources: Sources) -> Iterator[str]:
    """Dead-letter queues that the function dead-letters does not take from, and other queues that it takes from."""
    exchanges = {one["definition"].get("dead-letter-exchange") for one in sources.topology["policies"]}
    dead = {one["destination"] for one in sources.topology["bindings"] if one["source"] in exchanges}
    events = templates.functions(sources.template)["DeadLettersFunction"]["Events"].values()
    yield from {queue for event in events for queue in event["Properties"]["Queues"]} ^ dead
    yield from set(DEAD_LETTER_QUEUES) ^ dead


def unredriven_queues(sources: Sources) -> Iterator[str]:
    """Working queues that the exchange of redrives does not reach by their name."""
    exchanges = {one["definition"].get("dead-letter-exchange") for one in sources.topology["policies"]}
    dead = {one["destination"] for one in sources.topology["bindings"] if one["source"] in exchanges}
    working = {one["name"] for one in sources.topology["queues"]} - dead
    redriven = [one for one in sources.topology["bindings"] if one["source"] == REDRIVE_EXCHANGE]
    yield from working ^ {one["destination"] for one in redriven if one["routing_key"] == one["destination"]}
    yield from working ^ set(REDRIVE_QUEUES)


def unreplayable_keys(sources: Sources) -> Iterator[str]:
    """Keys of the topic exchange by which a queue takes events and no replay sends them, or the other way round."""
    bound = {
        f"{one['destination']} {one['routing_key']}"
        for one in sources.topology["bindings"]
        if one["source"] == EVENTS_EXCHANGE
    }
    yield from bound ^ {f"{queue} {key}" for queue, keys in EVENT_CONSUMERS.items() for key in keys}


Rule = Callable[[Sources], Iterator[str]]
RULES: list[Rule] = [
    unwritten_parameters,
    strange_overrides,
    unshared_functions,
    unwatched,
    unrecorded_queues,
    unredriven_queues,
    unreplayable_keys,
]


@pytest.mark.parametrize("rule", RULES)
def test_names_agree(rule: Rule) -> None:
    assert list(rule(SOURCES)) == []


def with_text(texts: Mapping[str, str], file: str, old: str, new: str) -> dict[str, str]:
    assert old in texts[file]
    return {**texts, file: texts[file].replace(old, new)}


def planted(**changes: Any) -> Sources:
    """The sources with some of them changed."""
    kept = {name: getattr(SOURCES, name) for name in Sources.__slots__}
    return Sources(**{**kept, **changes})


def template_with(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    changed = copy.deepcopy(SOURCES.template)
    change(changed)
    return changed


def topology_with(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    changed = copy.deepcopy(SOURCES.topology)
    change(changed)
    return changed


def platform_with(file: str, old: str, new: str) -> dict[str, str]:
    return with_text(SOURCES.platform, file, old, new)


PLANTED: list[tuple[Rule, dict[str, Any], str]] = [
    (unwritten_parameters, {"platform": platform_with("parameters.tf", '"broker/arn"', '"broker/id"')}, "BrokerArn"),
    (
        unwritten_parameters,
        {
            "template": template_with(
                lambda one: one["Parameters"]["SubnetIds"].update(Type="AWS::SSM::Parameter::Value<String>")
            )
        },
        "SubnetIds",
    ),
    (
        unwritten_parameters,
        {
            "template": template_with(
                lambda one: one["Parameters"]["DatabaseHost"].update(Default="/paybridge/dev/db/host")
            )
        },
        "DatabaseHost",
    ),
    (
        unwritten_parameters,
        {
            "template": template_with(
                lambda one: one["Parameters"]["GatewayUrl"].update(Default="/paybridge/gateway/url")
            )
        },
        "GatewayUrl",
    ),
    (
        strange_overrides,
        {
            "samconfig": SOURCES.samconfig.replace(
                "BrokerArn=/paybridge/prod/broker/arn", "BrokerArn=/paybridge/prod/broker/id"
            )
        },
        "BrokerArn",
    ),
    (unshared_functions, {"platform": platform_with("operations.tf", "[a-z-]+", "[a-x-]+")}, "relay"),
    (unshared_functions, {"platform": platform_with("operations.tf", "template.yaml", "samconfig.toml")}, "relay"),
    (
        unshared_functions,
        {"template": template_with(lambda one: one["Resources"].pop("JobsFunction"))},
        "jobs",
    ),
    (unwatched, {"platform": platform_with("operations.tf", "local.topology.shards", "[]")}, "local.topology.shards"),
    (unwatched, {"platform": platform_with("operations.tf", "../../topology.json", "queues.json")}, "topology.json"),
    (
        unwatched,
        {"platform": platform_with("operations.tf", "queues              = local.queues", 'queues = ["payments.new"]')},
        "module alarms gets other queues",
    ),
    (
        unwatched,
        {"alarms": with_text(SOURCES.alarms, "main.tf", "paybridge-${var.environment}-${function}", "${function}")},
        "differently",
    ),
    (
        unrecorded_queues,
        {"topology": topology_with(lambda one: one["bindings"][-1].update(destination="payments.lost"))},
        "payments.lost",
    ),
    (
        unredriven_queues,
        {"topology": topology_with(lambda one: one["queues"].append({"name": "ledgers"}))},
        "ledgers",
    ),
    (
        unredriven_queues,
        {"topology": topology_with(lambda one: one["bindings"][-2].update(routing_key="elsewhere"))},
        "webhooks.retry",
    ),
    (
        unreplayable_keys,
        {
            "topology": topology_with(
                lambda one: one["bindings"].append(
                    {"source": "payments.events", "destination": "payments.new", "routing_key": "refund.*"}
                )
            )
        },
        "payments.new refund.*",
    ),
]


@pytest.mark.parametrize(("rule", "changes", "named"), PLANTED)
def test_a_planted_violation_is_named(rule: Rule, changes: dict[str, Any], named: str) -> None:
    assert any(named in found for found in rule(planted(**changes)))


def test_every_rule_is_proved() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
