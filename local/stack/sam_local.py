"""The offline stack with the functions in Lambda's own image: `sam local start-lambda`, in Docker.

The bridge is in front of it as it is in front of our Lambda host: HTTP, schedules and the RabbitMQ mapping. Containers
reach the servers of the stack by this machine's address in Docker's network.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from infra.sam_template.intrinsics import SSM_TYPE_PREFIX, load_yaml
from infra.sam_template.template import read_template
from local.errors import LocalError, MissingToolError
from local.servers import aws, docker
from local.servers.processes import Child
from local.settings import PROJECT
from local.stack import sam, seed
from local.stack.stack import PORTS, Stack

IMAGE = "public.ecr.aws/lambda/python:3.13-{}"


@dataclass
class SamLocal(Stack):
    """A stack whose functions run in containers."""

    has_test_clock = False

    _template: Path | None = None
    _is_built: threading.Event = field(init=False, default_factory=threading.Event)

    def start(self) -> None:
        """Start everything and return when payments can be sent. Raises LocalError."""
        if self.settings.workers:
            raise LocalError("`sam local` runs functions, not workers: unset PAYBRIDGE_LOCAL_WORKERS.")
        if not docker.is_usable():
            raise MissingToolError("`sam local` runs the functions in Docker, which does not answer: start Docker.")
        self.settings = replace(self.settings, container_host=docker.host_address(self.settings))
        sam.remove_containers(self.settings)
        parts = [self._start_postgres, self._start_rabbitmq, self._start_gateway, self._start_sink]
        self._start(PORTS, [*parts, self._build, self._start_moto_and_functions])

    def stop(self) -> None:
        """Stop everything this stack has started, and remove the containers of a sam process that has ended."""
        super().stop()
        sam.remove_containers(self.settings)

    @property
    def parameters(self) -> dict[str, str]:
        """Return the values of the template's parameters."""
        return {**super().parameters, "Architecture": aws.processor()}

    def start_functions(self) -> None:
        """Start the containers and the bridge in front of them."""
        self.processes.wait_while_starting(self._is_built.is_set)
        with self.progress.step("functions in containers (sam local start-lambda)"):
            self._start_forwarding()
            self._start_containers()
        super().start_functions()

    def _make_ready(self, child: Child) -> None:
        """Wait for sam too. The containers of one that was killed stay until the stack stops."""
        if child.name == sam.START_LAMBDA:
            sam.become_ready(self.settings, self.processes, child)
        super()._make_ready(child)

    def functions_logs(self) -> list[Path]:
        """Return the file in which sam writes what the containers log."""
        return [self.processes.log_of(sam.START_LAMBDA)]

    def _build(self) -> None:
        with self.progress.step("functions and layer built (sam build)"):
            self._template = sam.build(self.settings, self.processes, aws.processor())
            sam.name_endpoint(self._template, self.settings.seen_by_functions(self.settings.aws_url))
        self._is_built.set()

    def _start_containers(self) -> None:
        assert self._template is not None
        template = read_template(PROJECT / "template.yaml", self._all_parameters())
        functions = [name for name, function in template.functions.items() if function.has_events]
        has_image = docker.has_image(IMAGE.format(aws.processor()))
        sam.start_lambda(
            self.settings, self.processes, self._template, self._all_parameters(), functions, has_image=has_image
        )

    def _all_parameters(self) -> dict[str, str]:
        """Return the parameters with the values of those in SSM, which `sam local` does not read."""
        declared = load_yaml((PROJECT / "template.yaml").read_text(encoding="utf-8"), "template.yaml")["Parameters"]
        in_ssm = {
            name: seed.parameter(self.settings, parameter["Default"])
            for name, parameter in declared.items()
            if parameter["Type"].startswith(SSM_TYPE_PREFIX)
        }
        return {**in_ssm, **self.parameters}

    def _bridge_arguments(self) -> list[str]:
        """Return the arguments for a bridge that invokes the containers."""
        return [*super()._bridge_arguments(), f"--lambda-endpoint={self.settings.lambda_url}"]
