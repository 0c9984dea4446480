"""`make status`: the processes of the stack, what each is, and whether it answers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from local.commands.supervision import nothing_runs
from local.servers.processes import accepts_connections, running
from local.settings import LocalSettings

# What a process is, and the setting of the port that it answers on. Their names are those of the log files.
PARTS = {
    "bridge": ("API and functions", "api_port"),
    "rabbitmq": ("RabbitMQ", "amqp_port"),
    "epmd": ("RabbitMQ's port mapper", ""),
    "postgres": ("PostgreSQL", "postgres_port"),
    "moto": ("AWS fake", "aws_port"),
    "ministack": ("AWS emulator", "aws_port"),
    "gateway": ("simulated gateway", "gateway_port"),
    "sink": ("webhook sink", "sink_port"),
    "sam": ("functions in containers", "lambda_port"),
    "forward": ("forwarder for containers", ""),
}


@dataclass(frozen=True, slots=True)
class PartStatus:
    """A running process of the stack; `port` is None if it listens on none."""

    name: str
    description: str
    port: int | None
    is_answering: bool
    up_seconds: float
    pid: int

    def line(self) -> str:
        """Return the line for the terminal."""
        place = f"port {self.port}" if self.port else ""
        state = "" if self.is_answering else "  does not answer"
        up = f"up {_duration(self.up_seconds)}"
        return f"{self.name:<14} {self.description:<24} {place:<11} {up:<10} pid {self.pid}{state}"


def show(settings: LocalSettings) -> None:
    """Print a line for each running process, or that none runs and why."""
    parts = _parts(settings)
    print("\n".join(part.line() for part in parts) or nothing_runs(settings))


def _parts(settings: LocalSettings) -> list[PartStatus]:
    found = []
    for name, (process, _) in running(settings.state_dir).items():
        description, port_name = PARTS.get(name, ("worker" if name.startswith("worker") else "", ""))
        port = int(getattr(settings, port_name)) if port_name else None
        is_answering = port is None or accepts_connections(port)
        up_seconds = time.time() - process.create_time()
        found.append(PartStatus(name, description, port, is_answering, up_seconds, process.pid))
    return found


def _duration(seconds: float) -> str:
    """Return a duration such as `40 s`, `12 min` or `3 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.0f} h"
