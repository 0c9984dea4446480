"""CloudFormation's intrinsic functions, as far as a function's properties need them.

`Resolver` turns a property of `template.yaml` into plain values. What only AWS knows (an attribute of a resource that
does not exist locally) raises `TemplateError` with a sentence that names the place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

SSM_TYPE_PREFIX = "AWS::SSM::Parameter::Value<"
_SUB_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
_DYNAMIC_SSM = re.compile(r"\{\{resolve:ssm:([^:}]+)(?::\d+)?\}\}")


class TemplateError(Exception):
    """The template has a value that cannot be resolved here. The message is one sentence for people."""


class NoValue:
    """The value `AWS::NoValue`: the property is left out."""


NO_VALUE = NoValue()


class _CloudFormationLoader(yaml.SafeLoader):
    """PyYAML with the short forms of the intrinsic functions (`!Ref`, `!Sub`, …)."""


def _construct_intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    else:
        raise TemplateError(f"The tag !{suffix} is on a value that is neither text, list nor mapping.")
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_CloudFormationLoader.add_multi_constructor("!", _construct_intrinsic)


def load_yaml(text: str, source: str) -> dict[str, Any]:
    """Parse a CloudFormation template. Raises TemplateError if it is not a YAML mapping."""
    try:
        # The loader is a SafeLoader, which ruff cannot see.
        document = yaml.load(text, Loader=_CloudFormationLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise TemplateError(f"{source} is not valid YAML: {error}") from error
    if not isinstance(document, dict):
        raise TemplateError(f"{source} is empty or not a mapping.")
    return document


def ssm_value(name: str) -> str:
    """Read one SSM parameter from the endpoint that AWS_ENDPOINT_URL names, never from a real account."""
    if not os.environ.get("AWS_ENDPOINT_URL"):
        raise TemplateError(
            f"The SSM parameter {name} is needed: set AWS_ENDPOINT_URL to a local AWS endpoint or give a value."
        )
    # boto3 takes 0.1 s to import, and most tests of the template do not need it.
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        response = boto3.client("ssm").get_parameter(Name=name, WithDecryption=True)
    except (BotoCoreError, ClientError) as error:
        raise TemplateError(f"The SSM parameter {name} cannot be read: {error}") from error
    return str(response["Parameter"]["Value"])


class Resolver:
    """Resolve the values of one template. A parameter is looked up once, and only if something refers to it."""

    def __init__(
        self,
        document: Mapping[str, Any],
        overrides: Mapping[str, str],
        *,
        pseudo_parameters: Mapping[str, str],
        read_ssm: Callable[[str], str] = ssm_value,
    ) -> None:
        self._parameters: Mapping[str, Any] = document.get("Parameters") or {}
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._mappings: Mapping[str, Any] = document.get("Mappings") or {}
        self._resources: Mapping[str, Any] = document.get("Resources") or {}
        self._overrides = overrides
        self._pseudo_parameters = pseudo_parameters
        self._read_ssm = read_ssm
        self._values: dict[str, Any] = {}
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::Sub": self._sub,
            "Fn::GetAtt": self._get_att,
            "Fn::Join": self._join,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Condition": self._condition,
            "Fn::Equals": self._equals,
            "Fn::Not": lambda value: not self.resolve(value[0]),
            "Fn::And": lambda value: all(self.resolve(part) for part in value),
            "Fn::Or": lambda value: any(self.resolve(part) for part in value),
        }
        unknown = set(overrides) - set(self._parameters)
        if unknown:
            raise TemplateError(f"The template has no parameter named {', '.join(sorted(unknown))}.")

    def resolve(self, value: Any) -> Any:
        """Return the plain value of a property: str, number, bool, list, dict, or NO_VALUE."""
        if isinstance(value, str):
            return _DYNAMIC_SSM.sub(lambda match: self._read_ssm(match[1]), value)
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            name, argument = next(iter(value.items()))
            if name in self._functions:
                return self._functions[name](argument)
            if str(name).startswith("Fn::"):
                raise TemplateError(f"The intrinsic function {name} is not supported here.")
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NO_VALUE}

    def _ref(self, name: Any) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._pseudo_parameters:
            return self._pseudo_parameters[name]
        if name in self._parameters:
            if name not in self._values:
                self._values[name] = self._parameter(name)
            return self._values[name]
        if name in self._resources:
            return self._physical_name(name)
        function, _, made_by_sam = str(name).partition(".")
        if function in self._resources and made_by_sam in {"Alias", "Version"}:
            # On AWS this is the function's ARN with a qualifier. Here there is one version, which needs none.
            return self._get_att([function, "Arn"])
        raise TemplateError(f"!Ref {name} names neither a parameter nor a resource of the template.")

    def _parameter(self, name: str) -> Any:
        declaration = self._parameters[name]
        kind = str(declaration.get("Type", "String"))
        if name in self._overrides:
            value: Any = self._overrides[name]
        elif "Default" not in declaration:
            raise TemplateError(f"The parameter {name} has no default: give it by --parameter {name}=VALUE.")
        elif kind.startswith(SSM_TYPE_PREFIX):
            value = self._read_ssm(str(declaration["Default"]))
        else:
            value = declaration["Default"]
        if "CommaDelimitedList" in kind or kind.startswith(("List<", f"{SSM_TYPE_PREFIX}List<")):
            return [item.strip() for item in str(value).split(",")]
        return _as_text(value)

    def _physical_name(self, logical_id: str) -> str:
        properties = self._resources[logical_id].get("Properties") or {}
        if self._resources[logical_id].get("Type") == "AWS::Serverless::Function" and "FunctionName" in properties:
            return str(self.resolve(properties["FunctionName"]))
        return logical_id

    def _get_att(self, argument: Any) -> str:
        logical_id, attribute = argument if isinstance(argument, list) else str(argument).split(".", 1)
        resource = self._resources.get(logical_id)
        if resource is None:
            raise TemplateError(f"!GetAtt {logical_id}.{attribute} names no resource of the template.")
        if attribute == "Arn" and resource.get("Type") == "AWS::Serverless::Function":
            return function_arn(self._physical_name(logical_id), self._pseudo_parameters)
        raise TemplateError(f"!GetAtt {logical_id}.{attribute} is known on AWS only: pass it by a parameter instead.")

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument

        def value_of(match: re.Match[str]) -> str:
            literal, name = match[1], match[2].strip()
            if literal:
                return "${" + name + "}"
            if name in variables:
                return _as_text(self.resolve(variables[name]))
            if "." in name:
                return self._get_att(name)
            value = self._ref(name)
            return ",".join(value) if isinstance(value, list) else _as_text(value)

        return str(self.resolve(_SUB_PLACEHOLDER.sub(value_of, text)))

    def _join(self, argument: Any) -> str:
        separator, items = argument
        return str(separator).join(_as_text(item) for item in self.resolve(items))

    def _if(self, argument: Any) -> Any:
        name, when_true, when_false = argument
        return self.resolve(when_true if self._condition(name) else when_false)

    def _condition(self, name: Any) -> bool:
        if name not in self._conditions:
            raise TemplateError(f"The template has no condition named {name}.")
        return bool(self.resolve(self._conditions[name]))

    def _equals(self, argument: Any) -> bool:
        left, right = self.resolve(argument)
        return _as_text(left) == _as_text(right)

    def _find_in_map(self, argument: Any) -> Any:
        name, first, second = self.resolve(argument[:3])
        try:
            return self._mappings[name][first][second]
        except (KeyError, TypeError) as error:
            raise TemplateError(f"The mapping {name} has no entry {first}.{second}.") from error

    def _select(self, argument: Any) -> Any:
        index, items = self.resolve(argument)
        return items[int(index)]

    def _split(self, argument: Any) -> list[str]:
        separator, text = self.resolve(argument)
        return str(text).split(str(separator))


def is_intrinsic(value: Any) -> bool:
    """Return whether the value is a call of an intrinsic function rather than a mapping."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and (next(iter(value)) in {"Ref", "Condition"} or str(next(iter(value))).startswith("Fn::"))
    )


def function_arn(function_name: str, pseudo_parameters: Mapping[str, str]) -> str:
    """Return a function's ARN in the local stack."""
    region, account = pseudo_parameters["AWS::Region"], pseudo_parameters["AWS::AccountId"]
    return f"arn:aws:lambda:{region}:{account}:function:{function_name}"


def _as_text(value: Any) -> str:
    """Return CloudFormation's text of a scalar: booleans are lower-case words."""
    return str(value).lower() if isinstance(value, bool) else str(value)
