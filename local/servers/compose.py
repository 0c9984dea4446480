"""The servers of `compose.yaml`, in Docker: the same databases, ports and logins as the stack's own servers."""

from __future__ import annotations

import os
import shutil
import subprocess

from local.errors import MissingToolError
from local.servers.processes import Processes, ensure_port_free
from local.settings import PROJECT, LocalSettings, variable_of

FILE = PROJECT / "compose.yaml"
LOOK_SECONDS_MAX = 10
PORTS = {
    "postgres_port": "PostgreSQL",
    "amqp_port": "RabbitMQ",
    "management_port": "RabbitMQ management",
    "aws_port": "the AWS fake",
}


def start(settings: LocalSettings, processes: Processes) -> None:
    """Start the servers and return when all are healthy. The first time Docker fetches their images.

    Raises LocalError with a sentence for the user, or with what Docker says.
    """
    _require()
    if not _is_up(settings):
        for name, user in PORTS.items():
            ensure_port_free(getattr(settings, name), user, variable_of(name))
    processes.run_tool([*_command(settings), "up", "--detach", "--wait", "--quiet-pull"], _environment(settings))


def stop(settings: LocalSettings) -> None:
    """Stop the servers and keep their volumes."""
    _run(settings, "stop")


def remove(settings: LocalSettings) -> None:
    """Stop the servers and delete their data."""
    _run(settings, "down", "--volumes")


def _is_up(settings: LocalSettings) -> bool:
    return bool(_run(settings, "ps", "--quiet"))


def _run(settings: LocalSettings, *arguments: str) -> bytes:
    """Run a subcommand and return its output, empty if it failed: without Docker there is nothing to stop."""
    if not shutil.which("docker"):
        return b""
    command = [*_command(settings), *arguments]
    return subprocess.run(command, env=_environment(settings), capture_output=True, check=False).stdout


def _command(settings: LocalSettings) -> list[str]:
    """Return the command for this stack's project: each stack has its own containers and volumes."""
    return ["docker", "compose", "--file", str(FILE), "--project-name", f"paybridge-{settings.postgres_port}"]


def _environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables from which compose.yaml takes its ports."""
    return {**os.environ, **settings.environment()}


def _require() -> None:
    for arguments, sentence in (
        (["docker", "version"], "Docker does not answer: start it, or unset PAYBRIDGE_LOCAL_COMPOSE."),
        (["docker", "compose", "version"], "Docker has no compose plugin: install it (docker-compose-plugin)."),
    ):
        if not _succeeds(arguments):
            raise MissingToolError(sentence)


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=LOOK_SECONDS_MAX, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
