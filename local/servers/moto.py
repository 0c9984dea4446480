"""The AWS fake: moto's server, which everything else reaches only through `AWS_ENDPOINT_URL`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from local.servers import aws
from local.servers.processes import Processes, accepts_connections, ensure_port_free
from local.settings import LocalSettings, variable_of

START_SECONDS_MAX = 30


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
    child = processes.start("moto", command, os.environ)
    processes.wait_until_ready(child, lambda: accepts_connections(settings.aws_port), START_SECONDS_MAX)
    return MotoServer(settings.aws_url, processes)
