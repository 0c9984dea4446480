"""Docker: for RabbitMQ, where there is no other way to run it, and for the functions of `sam local`."""

from __future__ import annotations

import os
import shutil
import subprocess
from ipaddress import IPv4Address

from local.errors import LocalError
from local.servers.processes import Processes
from local.settings import LocalSettings, variable_of

IMAGE = "rabbitmq:4-management"
# The address by which Docker Desktop connects containers to this machine's loopback.
DESKTOP_HOST = "192.168.65.254"
LOOK_SECONDS_MAX = 10


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
    gateway = _ask("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    try:
        return str(IPv4Address(gateway))
    except ValueError:
        raise LocalError(
            f"Docker's network has no address of this machine: set {variable_of('container_host')} to one."
        ) from None


def has_image(image: str) -> bool:
    """Return whether the image is on this machine already."""
    return bool(_ask("image", "inspect", "--format", "{{.Id}}", image))


def _ask(*arguments: str) -> str:
    answer = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=LOOK_SECONDS_MAX, check=False
    )
    return answer.stdout.strip() if answer.returncode == 0 else ""


def start_rabbitmq(settings: LocalSettings, processes: Processes, plugins: str) -> None:
    """Run the broker in a container that ends with its child process. Its data stays in a volume."""
    enabled_plugins = settings.state_dir / "rabbitmq" / "enabled_plugins"
    enabled_plugins.parent.mkdir(parents=True, exist_ok=True)
    enabled_plugins.write_text(plugins + "\n")
    name = f"paybridge-rabbitmq-{settings.amqp_port}"
    processes.run_tool(["docker", "pull", "--quiet", IMAGE])
    command = ["docker", "run", "--rm", "--name", name, "--hostname", name, "--volume", f"{name}:/var/lib/rabbitmq"]
    command += ["--volume", f"{enabled_plugins}:/etc/rabbitmq/enabled_plugins:ro"]
    command += ["--publish", f"127.0.0.1:{settings.amqp_port}:5672"]
    command += ["--publish", f"127.0.0.1:{settings.management_port}:15672", IMAGE]
    processes.start("rabbitmq", command, os.environ)
