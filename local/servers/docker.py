"""Docker: for RabbitMQ, where there is no other way to run it, and for the functions of `sam local`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import psutil

from local.errors import LocalError
from local.servers.processes import Processes
from local.settings import LocalSettings, variable_of

IMAGE = "rabbitmq:4-management"
# The address by which Docker Desktop connects containers to this machine's loopback.
DESKTOP_HOST = "192.168.65.254"
# Docker's own default, for messages.
USUAL_HOST = "172.17.0.1"
LOOK_SECONDS_MAX = 10
REMOVE_SECONDS_MAX = 60


def is_usable() -> bool:
    """Return whether a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        answer = subprocess.run([docker, "version"], capture_output=True, timeout=LOOK_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def host_address(settings: LocalSettings) -> str:
    """Return the IP address by which containers reach this machine. Raises LocalError if Docker does not say."""
    if settings.container_host:
        return settings.container_host
    if "Docker Desktop" in _ask("info", "--format", "{{.OperatingSystem}}"):
        return DESKTOP_HOST
    address = next(_bridge_addresses(_inspect_bridge()), None)
    if address is None:
        raise LocalError(
            f"Docker's network has no address of this machine: set {variable_of('container_host')} to one, "
            f"for example {USUAL_HOST} (`ip -4 address show docker0`)."
        )
    return str(address)


def _inspect_bridge() -> Mapping[str, Any]:
    """Return what Docker says of the network of its containers, empty if it says nothing."""
    try:
        found = json.loads(_ask("network", "inspect", "bridge") or "[]")
    except ValueError:
        return {}
    return found[0] if found else {}


def _bridge_addresses(network: Mapping[str, Any]) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that this machine may have in the network, the surest first.

    A bridge has a subnet and no gateway until Docker's second start. An engine with IPv6 has a subnet of each kind.
    """
    configurations = (network.get("IPAM") or {}).get("Config") or []
    bridge = (network.get("Options") or {}).get("com.docker.network.bridge.name") or "docker0"
    named = [one.get("Gateway") for one in configurations]
    named += [address.address for address in psutil.net_if_addrs().get(bridge, ())]
    for text in named:
        with suppress(ValueError):
            yield IPv4Address(text or "")
    for one in configurations:
        with suppress(ValueError, IndexError):
            yield IPv4Network(one.get("Subnet") or "")[1]


def has_image(image: str) -> bool:
    """Return whether the image is on this machine already."""
    return bool(_ask("image", "inspect", "--format", "{{.Id}}", image))


def remove_containers_of(folder: Path) -> int:
    """Remove the containers, running or not, that mount something below `folder`, and return how many there were."""
    listed = _ask("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Mounts}}").splitlines()
    # Docker Desktop writes its own path before that of this machine.
    left = [line.split(" ", 1)[0] for line in listed if f"{folder}{os.sep}" in line]
    if left:
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", *left],
            capture_output=True,
            timeout=REMOVE_SECONDS_MAX,
            check=False,
        )
    return len(left)


def _ask(*arguments: str) -> str:
    """Return what a docker command prints, empty if it fails or Docker does not answer."""
    try:
        answer = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=LOOK_SECONDS_MAX, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def start_rabbitmq(settings: LocalSettings, processes: Processes, plugins: str) -> None:
    """Run the broker in a container that ends with its child process. Its data stays in a volume."""
    enabled_plugins = settings.state_dir / "rabbitmq" / "enabled_plugins"
    enabled_plugins.parent.mkdir(parents=True, exist_ok=True)
    enabled_plugins.write_text(plugins + "\n")
    name = f"paybridge-rabbitmq-{settings.amqp_port}"
    processes.run_tool(["docker", "pull", "--quiet", IMAGE])
    # A killed client leaves its container behind, which would hold name and ports when this is started again.
    command = ["sh", "-c", f'docker rm --force {name} >/dev/null 2>&1; exec "$@"', "rabbitmq"]
    command += ["docker", "run", "--rm", "--name", name, "--hostname", name, "--volume", f"{name}:/var/lib/rabbitmq"]
    command += ["--volume", f"{enabled_plugins}:/etc/rabbitmq/enabled_plugins:ro"]
    command += ["--publish", f"127.0.0.1:{settings.amqp_port}:5672"]
    command += ["--publish", f"127.0.0.1:{settings.management_port}:15672", IMAGE]
    processes.start("rabbitmq", command, os.environ)
