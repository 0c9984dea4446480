"""The AWS fake: moto's server, which everything else reaches only through `AWS_ENDPOINT_URL`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from local.servers import aws
from local.servers.processes import Child, Processes, answers, ensure_port_free
from local.settings import LocalSettings, variable_of

START_SECONDS_MAX = 90
SEED_PATH = "/moto-api/seed?a=1"


@dataclass(frozen=True, slots=True)
class MotoServer:
    """A running AWS fake. It forgets everything when it stops."""

    url: str
    processes: Processes

    def stop(self) -> None:
        self.processes.stop_child("moto", seconds_max=5)


def start(settings: LocalSettings, processes: Processes) -> MotoServer:
    """Start moto's server on `settings.aws_port`, or take the endpoint that `settings.aws_endpoint` names.

    Raises LocalError with a sentence for the user when that cannot be done.
    """
    if settings.aws_endpoint:
        aws.check_given(settings)
        return MotoServer(settings.aws_url, processes)
    ensure_port_free(settings.aws_port, "the AWS fake", variable_of("aws_port"))
    # It listens once it is loaded, and loads each service with the first request for it.
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(settings.aws_port)]
    become_ready(settings, processes, processes.start("moto", command, os.environ))
    return MotoServer(settings.aws_url, processes)


def become_ready(settings: LocalSettings, processes: Processes, child: Child) -> None:
    """Wait until it answers, and have it repeat the random parts of ARNs. Raises ServerDiedError or NotReadyError.

    Functions know secrets by ARN, and must find them again in a fake that was started again.
    """
    processes.wait_until_ready(child, lambda: answers(f"{settings.aws_url}{SEED_PATH}"), START_SECONDS_MAX)
