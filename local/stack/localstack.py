"""The offline stack with the functions at an AWS-compatible endpoint: `sam deploy` of `template.yaml`.

The endpoint is MiniStack, which the stack starts, or one that the user runs. The stack adds what emulators lack: routes
of the HTTP API where its OpenAPI body is ignored, the RabbitMQ mapping, and schedules that fire.
`sam.fit_to_emulators` removes from the template what emulators refuse.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.sam_template.definitions import Template
from infra.sam_template.template import read_template
from local.errors import LocalError
from local.servers import aws, ministack
from local.settings import PROJECT
from local.stack import deployment, sam, seed
from local.stack.deployment import DeployedStack
from local.stack.sam import STACK_NAME
from local.stack.stack import PORTS, Stack


@dataclass
class LocalStack(Stack):
    """A stack whose functions run at the endpoint."""

    has_test_clock = False

    deployed: DeployedStack | None = None
    # A deployment that failed or was interrupted leaves resources behind as well.
    _has_begun: bool = False
    _template: Path | None = None
    _release: str = field(default_factory=lambda: secrets.token_hex(16))
    _is_built: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__post_init__()
        # With it goes all that was deployed.
        self.restarts.irreplaceable = frozenset({"ministack"})

    def start(self) -> None:
        """Start everything, deploy, and return when payments can be sent. Raises LocalError."""
        if self.settings.workers:
            raise LocalError("Workers cannot be deployed: unset PAYBRIDGE_LOCAL_WORKERS.")
        if self.settings.compose:
            raise LocalError("The AWS fake of compose.yaml cannot deploy a template: unset PAYBRIDGE_LOCAL_COMPOSE.")
        if self.settings.aws_endpoint:
            aws.check_given(self.settings)
        else:
            # MiniStack runs the functions on this machine.
            self.settings = replace(self.settings, container_host="")
        ports = [name for name in PORTS if name != "lambda_port"]
        parts = [self._start_postgres, self._start_rabbitmq, self._start_gateway, self._start_sink]
        deploy = aws.errors_as_a_sentence(self.settings)(self._start_endpoint_and_deploy)
        self._start(ports, [*parts, self._build, deploy])

    def stop(self) -> None:
        """Stop everything this stack has started, and delete it from an endpoint that keeps running."""
        if self._has_begun and self.settings.aws_endpoint and not deployment.remove(self.settings):
            self.progress.note(
                f"{self.settings.aws_endpoint} does not answer: the stack {STACK_NAME} stays deployed there"
            )
        super().stop()

    @property
    def parameters(self) -> dict[str, str]:
        """Return the values of the template's parameters."""
        # A new release each time, so that every deployment publishes versions with today's addresses.
        return {**super().parameters, "Architecture": aws.processor(), "Release": self._release}

    def _build(self) -> None:
        with self.progress.step("functions and layer built (sam build)"):
            # The user's endpoint may run the functions in containers, as Lambda does.
            platform = aws.processor() if self.settings.aws_endpoint else sam.HOST
            self._template = sam.build(self.settings, self.processes, platform)
            sam.fit_to_emulators(self._template)
        self._is_built.set()

    def _start_endpoint_and_deploy(self) -> None:
        self._start_endpoint()
        self.processes.wait_while_starting(lambda: self._is_built.is_set() and self._is_migrated.is_set())
        with self.progress.step("template.yaml deployed (sam deploy)"):
            assert self._template is not None
            self._has_begun = True
            sam.deploy(self.settings, self.processes, self._template, self.parameters)
            self.deployed = deployment.read(self.settings)
            deployment.complete_api(self.settings, self.deployed, self._read_template())
        if self._is_ministack():
            deployment.fire_schedules(self.settings, self.deployed, self._read_template())
        else:
            sam.follow_logs(self.settings, self.processes)
        self.start_functions()

    def _start_endpoint(self) -> None:
        settings = self.settings
        if settings.aws_endpoint:
            with self.progress.step(f"AWS endpoint {settings.aws_endpoint}"):
                self._prepare_endpoint()
            if settings.container_host:
                self._start_forwarding()
        else:
            with self.progress.step(f"MiniStack on port {settings.aws_port}"):
                ministack.start(settings, self.processes)
                self._prepare_endpoint()

    def _prepare_endpoint(self) -> None:
        self._write_aws()

    def _bridge_arguments(self) -> list[str]:
        """Return the arguments for a bridge that invokes the functions at the endpoint."""
        assert self.deployed is not None
        arguments = [*super()._bridge_arguments(), f"--lambda-endpoint={self.settings.aws_url}"]
        arguments += [f"--lambda-name={logical_id}={name}" for logical_id, name in self.deployed.functions.items()]
        return [*arguments, "--no-schedules"] if self._is_ministack() else arguments

    def _is_ministack(self) -> bool:
        """Return whether the endpoint is MiniStack. Its Scheduler fires and its log holds the functions' logs."""
        return ministack.is_here(self.settings)

    def _read_template(self) -> Template:
        return read_template(
            PROJECT / "template.yaml", self.parameters, read_ssm=lambda name: seed.parameter(self.settings, name)
        )
