"""The environments of `samconfig.toml`, with every parameter of the template that each of them gets."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.built import PROJECT
from infra.errors import InputMissingError
from infra.sam_template.intrinsics import SSM_TYPE_PREFIX, load_yaml
from infra.sam_template.template import FunctionDefinition, TemplateError, read_template

SAMCONFIG = PROJECT / "samconfig.toml"


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment as `samconfig.toml` and the template's defaults describe it."""

    name: str
    stack_name: str
    region: str | None
    # What samconfig.toml says, and that over the defaults of the template.
    overrides: Mapping[str, str]
    parameters: Mapping[str, str]
    # The SSM parameter that each parameter of an SSM type takes its value from.
    ssm_names: Mapping[str, str]

    @property
    def ssm_prefix(self) -> str:
        """Below which the platform keeps all that is known of this environment."""
        return f"/paybridge/{self.name}/"


def read_environment(
    name: str, template: Path, settings: Sequence[str] = (), samconfig: Path = SAMCONFIG
) -> Environment:
    """One environment of samconfig.toml, with `Name=Value` settings that hold for this once.

    Raises InputMissingError when there is none of this name, or no parameter of a name that is given a value.
    """
    document = _read_samconfig(samconfig)
    known = sorted(key for key, table in document.items() if isinstance(table, dict) and "deploy" in table)
    if not name:
        raise InputMissingError(f"Say where to: ENVIRONMENT={known[0]} (samconfig.toml has {_list(known)}).")
    if name not in known:
        raise InputMissingError(
            f"samconfig.toml has no environment {name}, only {_list(known)}: choose one of them, or add a table "
            f"[{name}.deploy.parameters]."
        )
    deploy: dict[str, Any] = document[name]["deploy"].get("parameters", {})
    if "stack_name" not in deploy:
        raise InputMissingError(
            f"samconfig.toml names no stack for {name}: add stack_name to [{name}.deploy.parameters]."
        )
    overrides = _named([*_listed(deploy.get("parameter_overrides", [])), *settings], name)
    declared: dict[str, Any] = load_yaml(template.read_text(encoding="utf-8"), str(template))["Parameters"]
    _check_names(overrides, declared, name)
    parameters = {key: overrides.get(key, str(one.get("Default", ""))) for key, one in declared.items()}
    return Environment(
        name=name,
        stack_name=deploy["stack_name"],
        region=deploy.get("region"),
        overrides=overrides,
        parameters=parameters,
        ssm_names={key: parameters[key] for key, one in declared.items() if one["Type"].startswith(SSM_TYPE_PREFIX)},
    )


def functions_of(environment: Environment, template: Path) -> list[FunctionDefinition]:
    """The template's functions as this environment's parameters make them; values of SSM are their names there.

    Raises InputMissingError for a parameter with which the template makes no sense.
    """
    given = {name: value for name, value in environment.overrides.items() if name not in environment.ssm_names}
    try:
        return list(read_template(template, given, read_ssm=lambda name: name).functions.values())
    except TemplateError as error:
        raise InputMissingError(f"{error} Correct SET, or {environment.name} in samconfig.toml.") from error


def _read_samconfig(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputMissingError(f"{file.name} is no TOML: {error}.") from error


def _listed(overrides: str | list[str]) -> list[str]:
    """SAM takes one text as well as a list."""
    return shlex.split(overrides) if isinstance(overrides, str) else overrides


def _named(overrides: Sequence[str], name: str) -> dict[str, str]:
    for override in overrides:
        if not re.fullmatch(r"[A-Za-z0-9]+=.+", override):
            raise InputMissingError(
                f"{override!r} is not of the form Name=Value: correct SET, or {name} in samconfig.toml."
            )
    return dict(override.partition("=")[::2] for override in overrides)


def _check_names(overrides: Mapping[str, str], declared: Mapping[str, Any], name: str) -> None:
    unknown = sorted(overrides.keys() - declared.keys())
    if unknown:
        raise InputMissingError(
            f"The template has no parameter {_list(unknown)}: correct SET, or {name} in samconfig.toml."
        )


def _list(names: list[str]) -> str:
    return ", ".join(names)
