"""The servers of `compose.yaml`, in Docker: the same databases, ports and logins as the stack's own servers."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from local.errors import MissingToolError
from local.servers.processes import Processes, accepts_connections, ensure_port_free
from local.settings import PROJECT, LocalSettings, variable_of

FILE = PROJECT / "compose.yaml"
LOOK_SECONDS_MAX = 10
# The first one with `content` of configs.
VERSION_MIN = (2, 23, 1)
# The service of each part of the stack.
SERVICES = {"postgres": "postgres", "rabbitmq": "rabbitmq", "moto": "aws"}
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
    _marker(settings).parent.mkdir(parents=True, exist_ok=True)
    _marker(settings).touch()
    command = [*_command(), "up", "--detach", "--wait", "--quiet-pull"]
    processes.run_tool(command, _environment(settings), name="docker compose up")


def stop(settings: LocalSettings) -> bool:
    """Stop the servers, keep their volumes, and return whether any of them ran."""
    was_up = _is_up(settings)
    if was_up:
        _run(settings, "stop")
    return was_up


def remove(settings: LocalSettings) -> None:
    """Stop the servers and delete their data."""
    _run(settings, "down", "--volumes")


def state_of(settings: LocalSettings, part: str) -> str:
    """Return the state of a server's container, such as `healthy`, `starting` or `exited`, empty if it has none."""
    line = "{{.State}} {{.Health}}"
    state, _, health = (
        _run(settings, "ps", "--all", "--format", line, SERVICES[part], seconds_max=LOOK_SECONDS_MAX)
        .strip()
        .partition(" ")
    )
    return health if state == "running" and health else state


def stop_server(settings: LocalSettings, part: str) -> None:
    """Stop one server and keep its data."""
    _run(settings, "stop", SERVICES[part])


def start_server(settings: LocalSettings, part: str) -> None:
    """Start one server again and return when it is healthy."""
    _run(settings, "up", "--detach", "--wait", "--no-recreate", SERVICES[part])


def is_remembered(settings: LocalSettings) -> bool:
    """Return whether a stack in this state folder has used the servers: a crash leaves them, `clean` their data."""
    return _marker(settings).exists()


def with_running(settings: LocalSettings) -> LocalSettings:
    """Return the settings with the servers in Docker, if `docker compose up` has started some of this stack."""
    if settings.compose or any((settings.postgres_url, settings.rabbitmq_url, settings.aws_endpoint)):
        return settings
    is_taken = any(accepts_connections(getattr(settings, name)) for name in PORTS)
    return settings.with_servers_in_docker() if is_taken and _is_up(settings) else settings


def _marker(settings: LocalSettings) -> Path:
    return settings.state_dir / "compose"


def _is_up(settings: LocalSettings) -> bool:
    return bool(_run(settings, "ps", "--quiet", seconds_max=LOOK_SECONDS_MAX).strip())


def _run(settings: LocalSettings, *arguments: str, seconds_max: float | None = None) -> str:
    """Run a subcommand and return its output, empty if it failed: without Docker there is nothing to stop."""
    return _output([*_command(), *arguments], _environment(settings), seconds_max) or ""


def _command() -> list[str]:
    """Return the command. The file names the project after a port of the stack."""
    return ["docker", "compose", "--file", str(FILE)]


def _environment(settings: LocalSettings) -> dict[str, str]:
    """Return the variables from which compose.yaml takes its ports and the project's name."""
    return {**os.environ, **settings.environment()}


def _require() -> None:
    if _output(["docker", "version"]) is None:
        raise MissingToolError("Docker does not answer: start it, or unset PAYBRIDGE_LOCAL_COMPOSE.")
    version = _output(["docker", "compose", "version", "--short"])
    if version is None:
        raise MissingToolError("Docker has no compose plugin: install it (docker-compose-plugin).")
    numbers = tuple(map(int, re.findall(r"\d+", version)[:3]))
    if numbers and numbers < VERSION_MIN:
        least = ".".join(map(str, VERSION_MIN))
        raise MissingToolError(f"Docker Compose is {version.strip()}: compose.yaml needs {least} or later.")


def _output(
    command: list[str], environment: dict[str, str] | None = None, seconds_max: float | None = LOOK_SECONDS_MAX
) -> str | None:
    """Return what a command prints, None if it fails, is missing or takes longer than `seconds_max`."""
    try:
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=seconds_max, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 else None
