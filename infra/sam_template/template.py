"""Read the functions of `template.yaml`, and the events that invoke them.

It reads AWS::Serverless::Function with its Globals, layers, environment (intrinsic functions resolved) and the event
types ScheduleV2, MQ and HttpApi. It ignores everything else in the template.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.sam_template.definitions import (
    ACCOUNT_ID,
    FunctionDefinition,
    HttpEvent,
    QueueEvent,
    RetryPolicy,
    ScheduleEvent,
    Template,
)
from infra.sam_template.intrinsics import (
    NO_VALUE,
    Resolver,
    TemplateError,
    function_arn,
    is_intrinsic,
    load_yaml,
    ssm_value,
)

# Lambda's defaults.
_TIMEOUT_SECONDS_DEFAULT = 3
_MEMORY_MB_DEFAULT = 128
_BATCH_SIZE_DEFAULT = 100
# An MQ mapping without a window waits half a second from the first message on.
_WINDOW_SECONDS_DEFAULT = 0.5
_RATE = re.compile(r"rate\((\d+) (second|minute|hour|day)s?\)")
_SECONDS_OF_UNIT = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


def read_template(
    path: Path,
    overrides: Mapping[str, str] | None = None,
    *,
    read_ssm: Callable[[str], str] = ssm_value,
) -> Template:
    """Read a SAM template. An override is the parameter's value, even if the parameter has an SSM type.

    Raises TemplateError, whose message is one sentence for people.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TemplateError(f"The template {path} cannot be read: {error.strerror}.") from error
    document = load_yaml(text, str(path))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    pseudo_parameters = {
        "AWS::Region": region,
        "AWS::AccountId": ACCOUNT_ID,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": "paybridge-local",
        "AWS::StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT_ID}:stack/paybridge-local/local",
    }
    resolver = Resolver(document, overrides or {}, pseudo_parameters=pseudo_parameters, read_ssm=read_ssm)
    reader = _Reader(path.resolve().parent, document, resolver, pseudo_parameters)
    return Template(path=path, region=region, functions={item.logical_id: item for item in reader.functions()})


class _Reader:
    """Build the definitions of one document."""

    def __init__(
        self, root: Path, document: Mapping[str, Any], resolver: Resolver, pseudo_parameters: Mapping[str, str]
    ) -> None:
        self._root = root
        self._resources: Mapping[str, Any] = document.get("Resources") or {}
        self._globals: Mapping[str, Any] = (document.get("Globals") or {}).get("Function") or {}
        self._resolver = resolver
        self._pseudo_parameters = pseudo_parameters

    def functions(self) -> Iterator[FunctionDefinition]:
        for logical_id, resource in self._resources.items():
            if resource.get("Type") == "AWS::Serverless::Function" and self._exists(resource):
                yield self._function(logical_id, resource.get("Properties") or {})

    def _exists(self, resource: Mapping[str, Any]) -> bool:
        return "Condition" not in resource or bool(self._resolver.resolve({"Condition": resource["Condition"]}))

    def _function(self, logical_id: str, own: Mapping[str, Any]) -> FunctionDefinition:
        properties = _merged(self._globals, own)
        value = self._value_of(logical_id, properties)
        name = str(value("FunctionName", logical_id))
        reserved = value("ReservedConcurrentExecutions", None)
        definition = FunctionDefinition(
            logical_id=logical_id,
            name=name,
            arn=function_arn(name, self._pseudo_parameters),
            handler=str(value("Handler")),
            code_dir=self._root / str(value("CodeUri")),
            layer_dirs=self._layers(logical_id, [*self._globals.get("Layers", ()), *own.get("Layers", ())]),
            timeout_seconds=int(value("Timeout", _TIMEOUT_SECONDS_DEFAULT)),
            memory_mb=int(value("MemorySize", _MEMORY_MB_DEFAULT)),
            reserved_concurrency=None if reserved is None else int(reserved),
            environment=self._environment(logical_id, own),
            retry_policy=_retry_policy(value("EventInvokeConfig", {})),
            log_format=str(value("LoggingConfig", {}).get("LogFormat", "Text")),
            **self._events(logical_id, own.get("Events") or {}),
        )
        if not definition.code_dir.is_dir():
            raise TemplateError(f"CodeUri of {logical_id} is {definition.code_dir}, which is not a directory.")
        return definition

    def _value_of(self, place: str, properties: Mapping[str, Any]) -> Callable[..., Any]:
        """Return a getter of resolved properties. It raises TemplateError for a missing one without default."""
        required = object()

        def value(key: str, default: Any = required) -> Any:
            resolved = self._resolver.resolve(properties[key]) if key in properties else NO_VALUE
            if resolved is not NO_VALUE:
                return resolved
            if default is required:
                raise TemplateError(f"{place} needs {key}.")
            return default

        return value

    def _environment(self, logical_id: str, own: Mapping[str, Any]) -> dict[str, str]:
        merged: dict[str, Any] = {}
        for properties in (self._globals, own):
            merged.update((properties.get("Environment") or {}).get("Variables") or {})
        environment = {}
        for key, raw in merged.items():
            try:
                resolved = self._resolver.resolve(raw)
            except TemplateError as error:
                raise TemplateError(f"Environment variable {key} of {logical_id}: {error}") from error
            if isinstance(resolved, list | dict):
                raise TemplateError(f"Environment variable {key} of {logical_id} is not text: join the list first.")
            if resolved is not NO_VALUE:
                environment[key] = str(resolved).lower() if isinstance(resolved, bool) else str(resolved)
        return environment

    def _layers(self, logical_id: str, references: list[Any]) -> tuple[Path, ...]:
        directories = []
        for reference in references:
            layer_id = reference.get("Ref") if isinstance(reference, dict) else None
            layer = self._resources.get(layer_id or "", {})
            if layer.get("Type") != "AWS::Serverless::LayerVersion":
                # A layer by ARN (an AWS extension) has no content here. The functions run without it.
                continue
            directory = self._root / str(self._resolver.resolve(layer["Properties"]["ContentUri"]))
            if not directory.is_dir():
                raise TemplateError(
                    f"ContentUri of the layer {layer_id} of {logical_id} is not a directory: {directory}."
                )
            built = directory / "python"
            directories.append(built if built.is_dir() else directory)
        return tuple(directories)

    def _events(self, logical_id: str, events: Mapping[str, Any]) -> dict[str, Any]:
        schedules: list[ScheduleEvent] = []
        queues: list[QueueEvent] = []
        http: list[HttpEvent] = []
        for name, event in events.items():
            value = self._value_of(f"Event {name} of {logical_id}", event.get("Properties") or {})
            kind = event.get("Type")
            if kind == "ScheduleV2":
                schedules.append(_schedule(f"{logical_id}{name}", value))
            elif kind == "MQ":
                queues.extend(_queues(name, value))
            elif kind == "HttpApi":
                http.append(HttpEvent(method=str(value("Method", "ANY")).upper(), path=str(value("Path", "$default"))))
            else:
                raise TemplateError(f"Event {name} of {logical_id} has the type {kind}, which does not run locally.")
        queues.extend(self._mappings(logical_id))
        return {"schedules": tuple(schedules), "queues": tuple(queues), "http": tuple(http)}

    def _mappings(self, function_id: str) -> Iterator[QueueEvent]:
        """Return the function's queue mappings that are separate resources, which unlike events can have conditions."""
        for logical_id, resource in self._resources.items():
            if resource.get("Type") == "AWS::Lambda::EventSourceMapping" and self._exists(resource):
                value = self._value_of(logical_id, resource.get("Properties") or {})
                if resource["Properties"].get("FunctionName") in (
                    {"Ref": function_id},
                    {"Ref": f"{function_id}.Alias"},
                ):
                    yield from _queues(logical_id, value, broker="EventSourceArn")


def _merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a function's properties over Globals. As in SAM, mappings are merged and everything else is replaced."""
    merged = dict(shared)
    for key, value in own.items():
        both_mappings = isinstance(value, dict) and isinstance(shared.get(key), dict)
        # As in SAM an intrinsic function, such as a reference to AWS::NoValue, counts as a value and replaces.
        merged[key] = {**shared[key], **value} if both_mappings and not is_intrinsic(value) else value
    return merged


def _schedule(name: str, value: Callable[..., Any]) -> ScheduleEvent:
    expression = str(value("ScheduleExpression"))
    match = _RATE.fullmatch(expression)
    if match is None and not expression.startswith(("cron(", "at(")):
        raise TemplateError(
            f"The schedule {name} has the expression {expression}, which is not a rate(), cron() or at()."
        )
    input_json = value("Input", None)
    return ScheduleEvent(
        name=name,
        expression=expression,
        period_seconds=float(int(match[1]) * _SECONDS_OF_UNIT[match[2]]) if match else None,
        input_json=None if input_json is None else str(input_json),
        retry_policy=_retry_policy(value("RetryPolicy", {})),
        enabled=str(value("State", "ENABLED")) == "ENABLED",
    )


def _queues(name: str, value: Callable[..., Any], broker: str = "Broker") -> Iterator[QueueEvent]:
    vhosts = [item["URI"] for item in value("SourceAccessConfigurations", []) if item.get("Type") == "VIRTUAL_HOST"]
    for queue in value("Queues"):
        yield QueueEvent(
            name=name,
            queue=str(queue),
            vhost=str(vhosts[0]) if vhosts else "/",
            broker_arn=str(value(broker)),
            batch_size=int(value("BatchSize", _BATCH_SIZE_DEFAULT)),
            window_seconds=float(value("MaximumBatchingWindowInSeconds", _WINDOW_SECONDS_DEFAULT)),
            enabled=str(value("Enabled", True)).lower() == "true",
        )


def _retry_policy(properties: Mapping[str, Any]) -> RetryPolicy | None:
    if not properties:
        return None
    default = RetryPolicy()
    return RetryPolicy(
        retry_attempts_max=int(properties.get("MaximumRetryAttempts", default.retry_attempts_max)),
        event_age_seconds_max=int(properties.get("MaximumEventAgeInSeconds", default.event_age_seconds_max)),
    )
