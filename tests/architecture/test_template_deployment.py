"""How the template deploys: the schema first, then new versions behind aliases that alarms roll back."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from paybridge.database.migrations import HEAD
from tests.support import template as templates
from tests.support.template import ROOT

Template = dict[str, Any]

TEMPLATE = templates.load_template()
SAMCONFIG = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
ENVIRONMENTS = [name for name in SAMCONFIG if name not in {"version", "default"}]
RUNBOOK = re.compile(r" Runbook: docs/operators/runbooks\.md#([a-z0-9-]+)$")


def resources(template: Template, kind: str) -> dict[str, Any]:
    """Return the template's resources of a type by logical id."""
    return {name: one for name, one in template["Resources"].items() if one["Type"] == kind}


def with_events(template: Template) -> dict[str, Any]:
    """Return the functions with events."""
    found = resources(template, "AWS::Serverless::Function")
    return {name: one for name, one in found.items() if one["Properties"].get("Events")}


def overrides(environment: str) -> dict[str, str]:
    """Return the parameters of a deployment in samconfig."""
    given = SAMCONFIG[environment]["deploy"]["parameters"]["parameter_overrides"]
    return dict(override.split("=", 1) for override in given)


def unmigrated(template: Template) -> Iterator[str]:
    """Functions that may be deployed before their schema."""
    for name, function in with_events(template).items():
        if function.get("DependsOn") != "Migration":
            yield name


def by_the_proxy(template: Template) -> Iterator[str]:
    """Functions with logins that RDS Proxy does not know, and that do not connect to the instance itself."""
    for name in ("MigrateFunction", "RotateFunction"):
        variables = template["Resources"][name]["Properties"]["Environment"]["Variables"]
        place = (variables.get("DATABASE_HOST"), variables.get("DATABASE_TLS_CA_FILE"))
        if place != ({"Ref": "DatabaseInstanceHost"}, {"Ref": "DatabaseInstanceTlsCaFile"}):
            yield name


def unpublished(template: Template) -> Iterator[str]:
    """Functions with traffic that do not publish each release as a version behind the alias."""
    for name, function in with_events(template).items():
        own = function["Properties"]
        published = (
            own.get("AutoPublishAlias"),
            own.get("AutoPublishCodeSha256"),
            own.get("AutoPublishAliasAllProperties"),
        )
        if published != ("live", {"Ref": "Release"}, True):
            yield name


def past_the_alias(template: Template) -> Iterator[str]:
    """Mappings that invoke a function instead of its alias. For events SAM does this itself."""
    for name, mapping in resources(template, "AWS::Lambda::EventSourceMapping").items():
        if not str(mapping["Properties"]["FunctionName"].get("Ref")).endswith("Function.Alias"):
            yield name


def unnamed(template: Template) -> Iterator[str]:
    """Functions with another name than in Terraform's alarms."""
    for name, properties in templates.functions(template).items():
        package = properties["Handler"].partition(".")[0].replace("_", "-")
        prefix = "CodeDeployHook_" if package == "preflight" else ""
        if properties.get("FunctionName") != {"Sub": f"{prefix}paybridge-${{EnvironmentName}}-{package}"}:
            yield name


def unlogged(template: Template) -> Iterator[str]:
    """Functions without a log group of their name with a retention and our key."""
    groups = resources(template, "AWS::Logs::LogGroup")
    for name, properties in templates.functions(template).items():
        group = groups.get(properties["LoggingConfig"]["LogGroup"]["Ref"], {}).get("Properties", {})
        if group != {
            "LogGroupName": {"Sub": f"/aws/lambda/{properties['FunctionName']['Sub']}"},
            "RetentionInDays": {"Ref": "LogRetentionDays"},
            "KmsKeyId": {"Ref": "SecretsKeyArn"},
        }:
            yield name


def untraced(template: Template) -> Iterator[str]:
    """Functions without a trace of each sampled invocation."""
    for name, properties in templates.functions(template).items():
        if properties.get("Tracing", template["Globals"]["Function"].get("Tracing")) != "Active":
            yield name


def watched(template: Template) -> set[str]:
    """Return the alarms that roll a deployment back."""
    preferences = [properties.get("DeploymentPreference", {}) for properties in templates.functions(template).values()]
    return {alarm["Ref"] for preference in preferences for alarm in preference.get("Alarms", ())}


def useless_alarms(template: Template) -> Iterator[str]:
    """Alarms that roll nothing back, notify no topic or name no runbook."""
    for name, alarm in resources(template, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        runbook = RUNBOOK.search(properties["AlarmDescription"])
        named = str(properties["AlarmName"].get("Sub")).removeprefix("paybridge-${EnvironmentName}-")
        notifies = properties["AlarmActions"] == properties["OKActions"] == [{"Ref": "AlarmTopicArn"}]
        if name not in watched(template) or not notifies or not runbook or not named.startswith(runbook[1]):
            yield name


def unwatched(template: Template) -> Iterator[str]:
    """Functions with traffic whose errors at the alias roll nothing back."""
    alarms = resources(template, "AWS::CloudWatch::Alarm")
    seen = {
        dimension["Value"]["Sub"]
        for name in watched(template)
        for dimension in alarms[name]["Properties"].get("Dimensions", ())
        if dimension["Name"] == "Resource" and isinstance(dimension["Value"], dict)
    }
    yield from (name for name in with_events(template) if f"${{{name}}}:live" not in seen)


def undocumented(template: Template) -> Iterator[str]:
    """Parameters without a description, or with a pattern that is not explained."""
    for name, parameter in template["Parameters"].items():
        has_reason = "AllowedPattern" not in parameter or parameter.get("ConstraintDescription")
        default_fits = re.fullmatch(parameter.get("AllowedPattern", ".*"), str(parameter.get("Default", "")))
        if not parameter.get("Description") or not has_reason or not default_fits:
            yield name


def set_(*path: str, to: Any) -> Callable[[Template], None]:
    """Return a change of one place of a template."""

    def change(template: Template) -> None:
        for key in path[:-1]:
            template = template[key]
        template[path[-1]] = to

    return change


def function(name: str, key: str, *, to: Any) -> Callable[[Template], None]:
    """Return a change of one property of a function."""
    return set_("Resources", name, "Properties", key, to=to)


ALARM = ("Resources", "ApiLatencyAlarm", "Properties")
PLANTED: list[tuple[Callable[[Template], Iterator[str]], Callable[[Template], None], str]] = [
    (unmigrated, set_("Resources", "JobsFunction", "DependsOn", to="HttpApi"), "JobsFunction"),
    (by_the_proxy,
     set_("Resources", "MigrateFunction", "Properties", "Environment", "Variables", "DATABASE_HOST",
          to={"Ref": "DatabaseHost"}),
     "MigrateFunction"),
    (unpublished, function("RelayFunction", "AutoPublishAlias", to="next"), "RelayFunction"),
    (unpublished, function("ApiFunction", "AutoPublishCodeSha256", to=""), "ApiFunction"),
    (past_the_alias, function("PaymentsShard3Mapping", "FunctionName", to={"Ref": "ConsumerFunction"}),
     "PaymentsShard3Mapping"),
    (unnamed, function("JobsFunction", "FunctionName", to={"Sub": "paybridge-${EnvironmentName}-x"}), "JobsFunction"),
    (unlogged, set_("Resources", "MigrateLogGroup", "Properties", "RetentionInDays", to=30), "MigrateFunction"),
    (untraced, function("RelayFunction", "Tracing", to="PassThrough"), "RelayFunction"),
    (useless_alarms, set_(*ALARM, "AlarmActions", to=[]), "ApiLatencyAlarm"),
    (useless_alarms, set_(*ALARM, "AlarmDescription", to="Too slow."), "ApiLatencyAlarm"),
    (useless_alarms, set_(*ALARM, "AlarmName", to={"Sub": "paybridge-${EnvironmentName}-slow"}), "ApiLatencyAlarm"),
    (useless_alarms, set_("Resources", "WebhooksFunction", "Properties", "DeploymentPreference", "Alarms", to=[]),
     "WebhooksErrorsAlarm"),
    (unwatched, set_("Resources", "ConsumerFunction", "Properties", "DeploymentPreference", "Alarms", to=[]),
     "ConsumerFunction"),
    (undocumented, set_("Parameters", "BrokerArn", "ConstraintDescription", to=""), "BrokerArn"),
    (undocumented, set_("Parameters", "EnvironmentName", "Default", to="Dev"), "EnvironmentName"),
]  # fmt: skip
RULES = list(dict.fromkeys(rule for rule, _, _ in PLANTED))


class TestRules:
    @pytest.mark.parametrize("rule", RULES)
    def test_holds(self, rule: Callable[[Template], Iterator[str]]) -> None:
        assert list(rule(TEMPLATE)) == []

    @pytest.mark.parametrize(("rule", "plant", "found"), PLANTED)
    def test_a_planted_violation_is_found(
        self, rule: Callable[[Template], Iterator[str]], plant: Callable[[Template], None], found: str
    ) -> None:
        broken = copy.deepcopy(TEMPLATE)
        plant(broken)
        assert list(rule(broken)) == [found]


class TestMigration:
    def test_goes_to_the_newest_revision(self) -> None:
        assert TEMPLATE["Resources"]["Migration"]["Properties"]["Revision"] == HEAD

    def test_may_take_longer_than_its_function_and_less_than_an_hour(self) -> None:
        timeout = templates.functions(TEMPLATE)["MigrateFunction"]["Timeout"]
        assert timeout < TEMPLATE["Resources"]["Migration"]["Properties"]["ServiceTimeout"] < timeout + 120

    def test_invokes_the_function_whose_name_never_changes(self) -> None:
        # CloudFormation refuses to change the token of a custom resource.
        assert TEMPLATE["Resources"]["Migration"]["Properties"]["ServiceToken"] == {"GetAtt": "MigrateFunction.Arn"}


class TestPreflight:
    def test_stands_before_the_alias_of_the_api_and_asks_the_new_version(self) -> None:
        functions = templates.functions(TEMPLATE)
        assert functions["ApiFunction"]["DeploymentPreference"]["Hooks"] == {"PreTraffic": {"Ref": "PreflightFunction"}}
        variables = functions["PreflightFunction"]["Environment"]["Variables"]
        assert variables["API_VERSION_ARN"] == {"Ref": "ApiFunction.Version"}

    def test_needs_no_access_to_the_internet(self) -> None:
        assert templates.functions(TEMPLATE)["PreflightFunction"]["VpcConfig"] == {"Ref": "AWS::NoValue"}


class TestDeploymentType:
    def test_is_gradual_unless_an_environment_says_otherwise(self) -> None:
        parameter = TEMPLATE["Parameters"]["DeploymentType"]
        assert "AllAtOnce" not in parameter["Default"]
        assert "DeploymentType" not in overrides("prod")

    def test_names_a_configuration_of_codedeploy(self) -> None:
        allowed = TEMPLATE["Parameters"]["DeploymentType"]["AllowedValues"]
        kind = r"CodeDeployDefault\.Lambda(AllAtOnce|(Canary10Percent|Linear10PercentEvery)\d+Minutes?)"
        assert all(re.fullmatch(kind, name) for name in allowed)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
class TestSamConfig:
    def test_names_the_environment_everywhere(self, environment: str) -> None:
        deploy = SAMCONFIG[environment]["deploy"]["parameters"]
        assert overrides(environment)["EnvironmentName"] == environment
        assert deploy["stack_name"] == deploy["s3_prefix"] == f"paybridge-{environment}"
        assert f"environment={environment}" in deploy["tags"]

    def test_takes_every_ssm_parameter_from_the_environment(self, environment: str) -> None:
        for name, parameter in TEMPLATE["Parameters"].items():
            if parameter["Type"].startswith("AWS::SSM::"):
                place = overrides(environment).get(name, parameter["Default"])
                assert place == parameter["Default"].replace("/dev/", f"/{environment}/")

    def test_gives_values_that_the_template_accepts(self, environment: str) -> None:
        for name, value in overrides(environment).items():
            parameter = TEMPLATE["Parameters"][name]
            assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value)
            assert value in [str(allowed) for allowed in parameter.get("AllowedValues", [value])]


def test_there_are_dev_and_prod() -> None:
    assert {"dev", "prod"} <= set(ENVIRONMENTS)
