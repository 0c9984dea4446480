"""Read the environments of `samconfig.toml`, with the template parameters of each."""

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
from infra.sam_template.definitions import FunctionDefinition
from infra.sam_template.intrinsics import SSM_TYPE_PREFIX, TemplateError, load_yaml
from infra.sam_template.template import read_template

SAMCONFIG = PROJECT / "samconfig.toml"


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment, described by `samconfig.toml` and the template's defaults."""

    name: str
    stack_name: str
    region: str | None
    # `overrides` come from samconfig.toml. `parameters` are the template's defaults with these overrides.
    overrides: Mapping[str, str]
    parameters: Mapping[str, str]
    # The SSM parameter behind each template parameter of an SSM type.
    ssm_names: Mapping[str, str]

    @property
    def ssm_prefix(self) -> str:
        """The prefix of the SSM parameters that the platform writes for this environment."""
        return f"/paybridge/{self.name}/"


def read_environment(
    name: str, template: Path, settings: Sequence[str] = (), samconfig: Path = SAMCONFIG
) -> Environment:
    """Return an environment of samconfig.toml. `settings` are `Name=Value` overrides for this run only.

    Raises InputMissingError for an unknown environment or an unknown parameter.
    """
    document = _read_samconfig(samconfig)
    known = sorted(key for key, table in document.items() if isinstance(table, dict) and "deploy" in table)
    if not name:
        raise InputMissingError(
            f"No environment is named: set ENVIRONMENT={known[0]} (samconfig.toml has {_list(known)})."
        )
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
    parameters = {key: overrides.get(key, str(entry.get("Default", ""))) for key, entry in declared.items()}
    return Environment(
        name=name,
        stack_name=deploy["stack_name"],
        region=deploy.get("region"),
        overrides=overrides,
        parameters=parameters,
        ssm_names={
            key: parameters[key] for key, entry in declared.items() if entry["Type"].startswith(SSM_TYPE_PREFIX)
        },
    )


def functions_of(environment: Environment, template: Path) -> list[FunctionDefinition]:
    """Return the template's functions for this environment. Values from SSM are replaced by their SSM names.

    Raises InputMissingError if a parameter makes the template invalid.
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
        raise InputMissingError(f"{file.name} is not valid TOML: {error}.") from error


def _listed(overrides: str | list[str]) -> list[str]:
    """Return a list: SAM accepts one string as well."""
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
