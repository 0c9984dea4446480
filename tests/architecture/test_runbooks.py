"""Every alarm has a runbook and every runbook an alarm. Alarms and dashboard use metrics that are emitted."""

from __future__ import annotations

import re
from typing import Any

import pytest

from paybridge.observability.metrics import NAMESPACE, Metric
from tests.support.template import ROOT, load_template

MODULES = ROOT / "infra/terraform/modules"
ALARMS = (MODULES / "alarms/main.tf").read_text(encoding="utf-8")
DASHBOARD = (MODULES / "dashboard/main.tf").read_text(encoding="utf-8")
RUNBOOKS = (ROOT / "docs/operators/runbooks.md").read_text(encoding="utf-8")
TEMPLATE = load_template()
NAMES = {metric.value[0] for metric in Metric}


def terraform_kinds(module: str) -> set[str]:
    """Return the kinds of alarm in the module's text."""
    return set(re.findall(r'\bkind\s*=\s*"([\w-]+)"', module))


def template_kinds(template: dict[str, Any]) -> set[str]:
    """Return the kinds of the template's alarms. Each is named for its kind and ends with its runbook."""
    kinds = set()
    for logical_id, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            description = resource["Properties"]["AlarmDescription"]
            found = re.search(r" Runbook: docs/operators/runbooks\.md#([\w-]+)$", description)
            assert found, f"the description of {logical_id} does not end with its runbook"
            name = resource["Properties"]["AlarmName"]["Sub"]
            assert name.startswith(f"paybridge-${{EnvironmentName}}-{found[1]}"), f"{logical_id} has another name"
            kinds.add(found[1])
    return kinds


def headings(runbooks: str) -> list[str]:
    """Return the runbooks' headings, which are also their anchors."""
    return re.findall(r"^## (.+)$", runbooks, flags=re.MULTILINE)


def disagreements(module: str, template: dict[str, Any], runbooks: str) -> list[str]:
    """Return alarms without a runbook, runbooks without an alarm, and duplicate headings."""
    alarms, found = terraform_kinds(module) | template_kinds(template), headings(runbooks)
    return [
        *(f"no runbook: {kind}" for kind in sorted(alarms - set(found))),
        *(f"no alarm: {heading}" for heading in sorted(set(found) - alarms)),
        *(f"twice: {heading}" for heading in sorted(set(found)) if found.count(heading) > 1),
    ]


def own_metrics(module: str) -> set[str]:
    """Return our own metrics that have an alarm. Their alarms have the environment among the dimensions."""
    alarms = re.split(r"\bkind\s*=", module)[1:]
    own = (alarm for alarm in alarms if "local.in_environment" in alarm)
    return {name for alarm in own for name in re.findall(r'\bmetric\s*=\s*"(\w+)"', alarm)[:1]}


class TestRunbooks:
    def test_alarms_and_runbooks_are_the_same(self) -> None:
        assert disagreements(ALARMS, TEMPLATE, RUNBOOKS) == []

    def test_both_sources_of_alarms_are_read(self) -> None:
        assert "outbox-age" in terraform_kinds(ALARMS)
        assert {"api-5xx", "api-latency"} <= template_kinds(TEMPLATE)

    def test_links_between_runbooks_are_valid(self) -> None:
        assert set(re.findall(r"\]\(#([\w-]+)\)", RUNBOOKS)) <= set(headings(RUNBOOKS))

    def test_each_has_every_section(self) -> None:
        for runbook in RUNBOOKS.split("\n## ")[1:]:
            said = re.findall(r"^- \*\*([\w ]+)\*\*", runbook, flags=re.MULTILINE)
            expected = ["For merchants", "Look", "Causes", "Do", "Never", "Escalate", "Over"]
            assert said == expected, runbook.splitlines()[0]


def with_alarm(description: str, name: str = "paybridge-${EnvironmentName}-api-5xx") -> dict[str, Any]:
    """Return the template with one more alarm."""
    alarm = {"AlarmDescription": description, "AlarmName": {"Sub": name}}
    resources = {**TEMPLATE["Resources"], "New": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}}
    return {**TEMPLATE, "Resources": resources}


class TestPlantedViolations:
    def test_an_alarm_of_terraform_without_a_runbook(self) -> None:
        module = f'{ALARMS}\nlocals {{ new = {{ kind = "moon-phase" }} }}'
        assert disagreements(module, TEMPLATE, RUNBOOKS) == ["no runbook: moon-phase"]

    def test_an_alarm_of_the_template_without_a_runbook(self) -> None:
        template = with_alarm(
            "Odd. Runbook: docs/operators/runbooks.md#moon-phase", "paybridge-${EnvironmentName}-moon-phase"
        )
        assert disagreements(ALARMS, template, RUNBOOKS) == ["no runbook: moon-phase"]

    def test_a_runbook_without_an_alarm(self) -> None:
        assert disagreements(ALARMS, TEMPLATE, f"{RUNBOOKS}\n## moon-phase\n") == ["no alarm: moon-phase"]

    def test_a_missing_runbook(self) -> None:
        runbooks = RUNBOOKS.replace("## outbox-age\n", "")
        assert disagreements(ALARMS, TEMPLATE, runbooks) == ["no runbook: outbox-age"]

    def test_a_missing_alarm(self) -> None:
        module = ALARMS.replace('"relay-lag"', '"outbox-age"')
        assert disagreements(module, TEMPLATE, RUNBOOKS) == ["no alarm: relay-lag"]

    def test_a_duplicate_runbook(self) -> None:
        assert disagreements(ALARMS, TEMPLATE, f"{RUNBOOKS}\n## relay-lag\n") == ["twice: relay-lag"]

    @pytest.mark.parametrize(
        ("description", "name"),
        [
            ("Odd.", "paybridge-${EnvironmentName}-api-5xx"),
            ("Odd. Runbook: docs/operators/runbooks.md#api-5xx and more", "paybridge-${EnvironmentName}-api-5xx"),
            ("Odd. Runbook: docs/operators/runbooks.md#api-5xx", "paybridge-${EnvironmentName}-errors"),
        ],
    )
    def test_an_alarm_of_the_template_that_does_not_name_its_runbook(self, description: str, name: str) -> None:
        with pytest.raises(AssertionError, match="New"):
            disagreements(ALARMS, with_alarm(description, name), RUNBOOKS)


class TestMetrics:
    def test_alarms_watch_metrics_that_are_emitted(self) -> None:
        assert own_metrics(ALARMS) == {
            "BrokenInvariants",
            "CircuitOpen",
            "DeadLetters",
            "FailedReconciliations",
            "LateCharges",
            "OpenOperations",
            "OutboxAge",
            "OutboxGaps",
            "PaymentsAccepted",
            "PartitionDaysLeft",
            "ReconciliationBreaks",
            "QueueDepth",
            "RelayLag",
            "StuckPayments",
        }
        assert own_metrics(ALARMS) <= NAMES

    def test_an_alarm_about_a_metric_that_is_not_emitted_is_found(self) -> None:
        assert own_metrics(ALARMS.replace('"OutboxAge"', '"OutboxAges"')) - NAMES == {"OutboxAges"}

    def test_the_dashboard_shows_every_emitted_metric_and_no_other(self) -> None:
        assert set(re.findall(rf'"{NAMESPACE}", "(\w+)"', DASHBOARD)) == NAMES
