"""The template, the documentation and the wiring agree with the table of settings.

Each rule is proved by a planted violation.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from infra.settings_page import PAGE, with_table
from local.settings import VARIABLES
from paybridge.wiring.setting_kinds import TEXT
from paybridge.wiring.settings import EVERY, TABLE, Setting
from tests.support import template as templates
from tests.support.template import ROOT

WIRING = ROOT / "layers/paybridge/paybridge/wiring"
# They name settings without reading them.
TABLE_FILES = {"settings.py", "setting_kinds.py"}
# Powertools reads this one itself.
READ_ELSEWHERE = {"POWERTOOLS_LOG_LEVEL"}


@dataclass(frozen=True, slots=True)
class Sources:
    """What the rules compare."""

    settings: tuple[Setting[Any], ...]
    template: dict[str, Any]
    # The text of every other module of the wiring.
    wiring: str
    env_example: str
    page: str
    folders: frozenset[str]


SOURCES = Sources(
    settings=TABLE,
    template=templates.load_template(),
    wiring="".join(file.read_text(encoding="utf-8") for file in WIRING.glob("*.py") if file.name not in TABLE_FILES),
    env_example=(ROOT / ".env.example").read_text(encoding="utf-8"),
    page=PAGE.read_text(encoding="utf-8"),
    folders=frozenset(file.parent.name for file in ROOT.glob("functions/*/handler.py")),
)

Rule = Callable[[Sources], Iterator[str]]


def shared_variables(sources: Sources) -> dict[str, Any]:
    """The variables that the template gives to every function."""
    variables: dict[str, Any] = sources.template["Globals"]["Function"]["Environment"]["Variables"]
    return variables


def own_variables(sources: Sources) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each function with the variables that the template gives to it alone."""
    packages = templates.packages(sources.template)
    for logical_id, properties in templates.functions(sources.template).items():
        yield packages[logical_id], properties["Environment"]["Variables"]


def unknown(sources: Sources) -> Iterator[str]:
    """Variables of the template that no setting reads."""
    given = set(shared_variables(sources)).union(*(variables for _, variables in own_variables(sources)))
    yield from given - {setting.name for setting in sources.settings}


def not_given(sources: Sources) -> Iterator[str]:
    """Settings that the template does not give to a function that reads them."""
    for function, variables in own_variables(sources):
        for setting in sources.settings:
            if function in setting.readers and setting.name not in {*shared_variables(sources), *variables}:
                yield f"{function} has no {setting.name}"


def given_in_vain(sources: Sources) -> Iterator[str]:
    """Variables that the template gives to a function that does not read them."""
    readers = {setting.name: setting.readers for setting in sources.settings}
    for function, variables in own_variables(sources):
        for name in variables:
            if not {function, *EVERY} & readers.get(name, frozenset()):
                yield f"{function} does not read {name}"


def other_names(sources: Sources) -> Iterator[str]:
    """Functions whose log and database session have another name than their folder, with hyphens."""
    for function, variables in own_variables(sources):
        if variables.get("POWERTOOLS_SERVICE_NAME") != function.replace("_", "-"):
            yield f"{function} is named {variables.get('POWERTOOLS_SERVICE_NAME')}"


def other_defaults(sources: Sources) -> Iterator[str]:
    """Values and defaults of parameters in the template that differ from the defaults of the settings."""
    parameters = sources.template["Parameters"]
    defaults = {setting.name: setting.default for setting in sources.settings}
    for name, value in shared_variables(sources).items():
        parameter = {"Type": "String", "Default": value} if isinstance(value, str) else parameters[value["Ref"]]
        is_from_ssm = parameter["Type"].startswith("AWS::SSM::")
        if not is_from_ssm and defaults.get(name) and str(parameter.get("Default")) != defaults[name]:
            yield f"{name} is {parameter.get('Default')} in the template"


def unread(sources: Sources) -> Iterator[str]:
    """Settings that the wiring does not read."""
    for setting in sources.settings:
        if setting.name not in READ_ELSEWHERE and not re.search(rf"\.{setting.name}\b", sources.wiring):
            yield setting.name


def unknown_readers(sources: Sources) -> Iterator[str]:
    """Readers in the table that are no functions."""
    for setting in sources.settings:
        yield from setting.readers - EVERY - sources.folders


def without_effect(sources: Sources) -> Iterator[str]:
    """Variables of `.env.example` that the offline stack does not read, such as settings of the functions."""
    names = set(re.findall(r"^#? ?([A-Z][A-Z_]+)=", sources.env_example, flags=re.MULTILINE))
    yield from names - set(VARIABLES.values())
    yield from names & {setting.name for setting in sources.settings}


def outdated_page(sources: Sources) -> Iterator[str]:
    """The page of settings, if its table is not that of the code."""
    if sources.page != with_table(sources.page, sources.settings):
        yield "run make settings-docs"


RULES: list[Rule] = [
    unknown,
    not_given,
    given_in_vain,
    other_names,
    other_defaults,
    unread,
    unknown_readers,
    without_effect,
    outdated_page,
]


@pytest.mark.parametrize("rule", RULES)
def test_settings_agree(rule: Rule) -> None:
    assert list(rule(SOURCES)) == []


def setting(name: str, *readers: str) -> Setting[str]:
    made = Setting(TEXT, "6", "", frozenset(readers), "A planted setting.")
    made.name = name
    return made


def template_with(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    changed = copy.deepcopy(SOURCES.template)
    change(changed)
    return changed


def variables_of(template: dict[str, Any], logical_id: str) -> dict[str, Any]:
    variables: dict[str, Any] = template["Resources"][logical_id]["Properties"]["Environment"]["Variables"]
    return variables


PLANTED: list[tuple[Rule, dict[str, Any], str]] = [
    (unknown, {"template": template_with(lambda one: variables_of(one, "JobsFunction").update(NEW="1"))}, "NEW"),
    (not_given, {"settings": (*TABLE, setting("NEW", "relay"))}, "relay has no NEW"),
    (
        given_in_vain,
        {"template": template_with(lambda one: variables_of(one, "RelayFunction").update(API_WAITS_MAX="1"))},
        "relay does not read API_WAITS_MAX",
    ),
    (
        other_names,
        {
            "template": template_with(
                lambda one: variables_of(one, "JobsFunction").update(POWERTOOLS_SERVICE_NAME="relay")
            )
        },
        "jobs is named relay",
    ),
    (
        other_defaults,
        {"template": template_with(lambda one: one["Parameters"]["RelayBatchRows"].update(Default=400))},
        "RELAY_BATCH_ROWS is 400",
    ),
    (unread, {"settings": (*TABLE, setting("NEW", "relay"))}, "NEW"),
    (unknown_readers, {"settings": (*TABLE, setting("NEW", "ledgers"))}, "ledgers"),
    (without_effect, {"env_example": "# GATEWAY_URL=http://127.0.0.1\n"}, "GATEWAY_URL"),
    (outdated_page, {"settings": (*TABLE, setting("NEW", "relay"))}, "make settings-docs"),
]


@pytest.mark.parametrize(("rule", "changes", "named"), PLANTED)
def test_a_planted_violation_is_named(rule: Rule, changes: dict[str, Any], named: str) -> None:
    assert any(named in found for found in rule(replace(SOURCES, **changes)))


def test_every_rule_is_proved() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
