"""RabbitMQ from Docker, where neither an installation nor Debian's packages can bring one."""

import os
import shutil
import subprocess

from local.processes import Processes
from local.settings import LocalSettings

IMAGE = "rabbitmq:4-management"
LOOK_SECONDS_MAX = 10


def is_usable() -> bool:
    """Whether a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        answer = subprocess.run([docker, "version"], capture_output=True, timeout=LOOK_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def start_rabbitmq(settings: LocalSettings, processes: Processes, plugins: str) -> None:
    """Run the broker in the foreground of a child process; it goes with the child, its data stays in a volume."""
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
