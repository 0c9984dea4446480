"""Find the stack under load: the running one, or a private one that lasts as long as the load."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.servers import postgres
from local.servers.processes import running, stop_recorded
from local.servers.progress import Progress
from local.settings import LocalSettings
from local.stack.stack import Stack
from local.testkit.servers import private_settings


@dataclass(frozen=True, slots=True)
class Target:
    """The URLs of a stack, and its processes by name."""

    api_url: str
    gateway_url: str
    sink_url: str
    processes: dict[str, psutil.Process]


@contextmanager
def running_or_private() -> Iterator[Target]:
    """Yield the running stack, or a private one on free ports that is deleted afterwards."""
    settings = LocalSettings.load()
    found = target_of(settings)
    if found.processes:
        print(f"Using the running stack: {found.api_url}", flush=True)
        yield found
        return
    folder = Path(tempfile.mkdtemp(prefix="paybridge-sale-"))
    print("No stack is running: starting a private one", flush=True)
    stack = Stack(private_settings(folder), Progress())
    try:
        stack.start()
        yield target_of(stack.settings)
    finally:
        stack.processes.stop(seconds_max=1)
        stop_recorded(stack.settings.state_dir)
        postgres.remove_data(stack.settings)
        shutil.rmtree(folder, ignore_errors=True)


def target_of(settings: LocalSettings) -> Target:
    """Return the stack with these settings. It has no processes if it is not running."""
    processes = {name: process for name, (process, _) in running(settings.state_dir).items()}
    return Target(settings.api_url, settings.gateway_url, settings.sink_url, processes)
