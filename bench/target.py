"""The stack that a load is put on: the one that runs, or a private one for the time of the load."""

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
    """Where a stack answers, and the processes that it has started, by name."""

    api_url: str
    gateway_url: str
    sink_url: str
    processes: dict[str, psutil.Process]


@contextmanager
def running_or_private() -> Iterator[Target]:
    """The stack of `make up` or `make local` if it runs, else one of its own on free ports, which goes afterwards."""
    settings = LocalSettings.load()
    found = target_of(settings)
    if found.processes:
        print(f"Using the stack that runs: {found.api_url}", flush=True)
        yield found
        return
    folder = Path(tempfile.mkdtemp(prefix="paybridge-sale-"))
    print("No stack runs: starting a private one", flush=True)
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
    """The stack with these settings; without processes when it does not run."""
    processes = {name: process for name, (process, _) in running(settings.state_dir).items()}
    return Target(settings.api_url, settings.gateway_url, settings.sink_url, processes)
