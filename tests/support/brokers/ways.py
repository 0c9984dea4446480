"""The ways to a RabbitMQ of a certain version: a command that the user names, the installed one, a container."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from local.errors import LocalError
from local.servers import docker, rabbitmq
from local.servers.processes import Processes, accepts_connections, free_port
from local.servers.progress import Progress
from local.settings import LocalSettings
from local.testkit import given_broker

# `COMMAND start VERSION AMQP_PORT MANAGEMENT_PORT` returns once that broker is ready, for guest with the password guest
# and every right in /, with management and the consistent-hash exchange; `COMMAND stop VERSION AMQP_PORT` ends it;
# `COMMAND ctl VERSION AMQP_PORT ARGUMENT...` runs its rabbitmqctl.
COMMAND = "PAYBRIDGE_TEST_BROKER_COMMAND"
READY_SECONDS_MAX = 120
PLUGIN = "rabbitmq_consistent_hash_exchange"


class CannotStart(Exception):
    """Why this way leads to no broker of that version, as a part of a sentence."""


class Way(Protocol):
    """A way to brokers; `name` is how the report calls it."""

    @property
    def name(self) -> str: ...

    def running(self, version: str) -> AbstractContextManager[dict[str, str]]:
        """Starts a broker of this version, and ends it with the block, which gets the variables for the tests.

        Raises CannotStart.
        """


@dataclass(frozen=True, slots=True)
class NamedCommand:
    """The command of PAYBRIDGE_TEST_BROKER_COMMAND."""

    command: str
    name: str = "by the command named"

    @contextmanager
    def running(self, version: str) -> Iterator[dict[str, str]]:
        amqp_port, management_port = free_port(), free_port()
        words = shlex.split(self.command)
        _run([*words, "start", version, str(amqp_port), str(management_port)])
        try:
            yield variables(amqp_port, management_port, [*words, "ctl", version, str(amqp_port)])
        finally:
            subprocess.run([*words, "stop", version, str(amqp_port)], check=False)


@dataclass(frozen=True, slots=True)
class Given:
    """The broker that runs already, of whatever version it is."""

    version: str
    name: str = "as it is given"

    @contextmanager
    def running(self, version: str) -> Iterator[dict[str, str]]:
        if version != self.version:
            raise CannotStart(f"the given one is {self.version}")
        yield {}


@dataclass(frozen=True, slots=True)
class Installed:
    """What the offline stack would start without Docker; the tests start it themselves, without any variable."""

    version: str
    name: str = "as it is installed"

    @contextmanager
    def running(self, version: str) -> Iterator[dict[str, str]]:
        if version != self.version:
            raise CannotStart(f"the installed one is {self.version}")
        yield {given_broker.URL: "", given_broker.MANAGEMENT_URL: "", given_broker.CTL: ""}


@dataclass(frozen=True, slots=True)
class Container:
    """Docker's official image."""

    name: str = "in a container"

    @contextmanager
    def running(self, version: str) -> Iterator[dict[str, str]]:
        amqp_port, management_port = free_port(), free_port()
        container = f"paybridge-test-rabbitmq-{amqp_port}"
        command = ["docker", "run", "--detach", "--rm", "--name", container, "--hostname", container]
        command += ["--publish", f"127.0.0.1:{amqp_port}:5672", "--publish", f"127.0.0.1:{management_port}:15672"]
        _run([*command, f"rabbitmq:{version}-management"])
        try:
            until_ready(amqp_port, management_port)
            _run(["docker", "exec", container, "rabbitmq-plugins", "enable", PLUGIN])
            yield variables(amqp_port, management_port, ["docker", "exec", container, "rabbitmqctl"])
        finally:
            subprocess.run(["docker", "rm", "--force", container], stdout=subprocess.DEVNULL, check=False)


def ways(settings: LocalSettings, processes: Processes) -> tuple[list[Way], list[str]]:
    """Return the usable ways, the configured one first, and why the others are not usable.

    Where a broker is given it is the only one.
    """
    if given_broker.is_given():
        return [Given(given_broker.version())], []
    found: list[Way] = []
    closed = []
    if command := os.environ.get(COMMAND):
        found.append(NamedCommand(command))
    else:
        closed.append(f"{COMMAND} names no command")
    try:
        found.append(_installed(settings, processes))
    except CannotStart as reason:
        closed.append(str(reason))
    if docker.is_usable():
        found.append(Container())
    else:
        closed.append("no Docker engine answers")
    return found, closed


def variables(amqp_port: int, management_port: int, ctl: list[str]) -> dict[str, str]:
    """What gives a broker on loopback to the tests."""
    return {
        given_broker.URL: f"amqp://guest:guest@127.0.0.1:{amqp_port}/",
        given_broker.MANAGEMENT_URL: f"http://guest:guest@127.0.0.1:{management_port}",
        given_broker.CTL: shlex.join(ctl),
    }


def until_ready(amqp_port: int, management_port: int) -> None:
    """Returns when the broker takes connections and its management answers; raises CannotStart when it does not."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not (_answers(management_port) and accepts_connections(amqp_port)):
        if time.monotonic() > deadline:
            raise CannotStart(f"it was not ready after {READY_SECONDS_MAX} s")
        time.sleep(0.5)


def _installed(settings: LocalSettings, processes: Processes) -> Installed:
    try:
        installation = rabbitmq.find_installation(settings, processes, Progress())
    except LocalError as error:
        raise CannotStart(f"none is installed: {error}") from None
    if installation is None:
        raise CannotStart("none is installed")
    return Installed(version_of(installation.server))


def version_of(server: Path) -> str:
    """Return the version, such as 3.10, of the RabbitMQ that has this start script; raises CannotStart.

    `rabbitmqctl version` would say it too, but it starts a port mapper that goes on after it.
    """
    plugins = server.resolve().parent.parent / "plugins"
    for found in sorted(plugins.glob("rabbit-[0-9]*")):
        return ".".join(found.name.removeprefix("rabbit-").split(".")[:2])
    raise CannotStart(f"{plugins} does not say which RabbitMQ is installed")


def _answers(management_port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{management_port}/api/overview"
        answer = httpx.get(url, auth=("guest", "guest"), timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise CannotStart(f"there is no command {command[0]}")
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        name = Path(command[0]).name
        # Docker's last line says how to get help.
        reason = next((line for line in said if line.startswith(f"{name}: ")), said[-1])
        raise CannotStart(f"`{name} {command[1]}` says: {reason}")
