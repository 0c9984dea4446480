"""The functions of a template, and the events that invoke them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.sam_template.intrinsics import TemplateError

ACCOUNT_ID = "000000000000"


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often an asynchronous invocation is retried. The defaults are Lambda's."""

    retry_attempts_max: int = 2
    event_age_seconds_max: int = 21_600


@dataclass(frozen=True)
class ScheduleEvent:
    """One ScheduleV2 event. `period_seconds` is None for a cron() or at() expression, which never fires locally."""

    name: str
    expression: str
    period_seconds: float | None
    input_json: str | None
    retry_policy: RetryPolicy | None
    enabled: bool


@dataclass(frozen=True)
class QueueEvent:
    """One MQ event: a queue whose messages arrive in batches."""

    name: str
    queue: str
    vhost: str
    broker_arn: str
    batch_size: int
    window_seconds: float
    enabled: bool


@dataclass(frozen=True)
class HttpEvent:
    """One HttpApi event. `method` is upper-case or ANY, `path` has API Gateway's `{name}` and `{proxy+}`."""

    method: str
    path: str


@dataclass(frozen=True)
class FunctionDefinition:
    """One AWS::Serverless::Function with every value resolved."""

    logical_id: str
    name: str
    arn: str
    handler: str
    code_dir: Path
    layer_dirs: tuple[Path, ...]
    timeout_seconds: int
    memory_mb: int
    reserved_concurrency: int | None
    environment: Mapping[str, str]
    retry_policy: RetryPolicy | None
    log_format: str = "Text"
    schedules: tuple[ScheduleEvent, ...] = ()
    queues: tuple[QueueEvent, ...] = ()
    http: tuple[HttpEvent, ...] = ()

    @property
    def has_events(self) -> bool:
        """Return whether the template invokes it. What only a deployment or a person invokes can start cold."""
        return bool(self.schedules or self.queues or self.http)


@dataclass(frozen=True)
class Template:
    """All functions of a template by logical id."""

    path: Path
    region: str
    functions: Mapping[str, FunctionDefinition] = field(default_factory=dict)

    def without(self, logical_ids: Collection[str]) -> Template:
        """Return the template without these functions. Raises TemplateError for an unknown one."""
        unknown = set(logical_ids) - self.functions.keys()
        if unknown:
            raise TemplateError(f"The template has no function named {', '.join(sorted(unknown))}.")
        others = {name: function for name, function in self.functions.items() if name not in logical_ids}
        return replace(self, functions=others)
