"""Run a rival: processes of the rivals' virtual environment, with a separate database and virtual host."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import psutil

from bench.rivals.naive.database import engine_of
from bench.rivals.tables import Base
from local.errors import LocalError
from local.servers.processes import Processes
from local.settings import PROJECT
from local.testkit.api import WEBHOOK_SECRET

ENVIRONMENT = PROJECT / ".venv-bench"
PYTHON = ENVIRONMENT / "bin" / "python"
START_SECONDS_MAX = 90.0
NAIVE_CONSUMER = ("-m", "bench.rivals.naive.consumer")
# Four processes for each of two cores. Two settled fewer payments, eight no more.
CELERY_WORKER = (
    *("-m", "celery", "-A", "bench.rivals.celery_tasks.tasks", "worker", "--loglevel", "warning", "--concurrency", "8"),
    # There is only one worker, so it needs no gossip.
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
CELERY_PRELOAD = ("-m", "bench.rivals.celery_tasks.preload")
CELERY_PRELOAD_EVENTS = ("-m", "bench.rivals.celery_tasks.preload_events")


@dataclass(frozen=True, slots=True)
class Rival:
    """A rival's processes and the URLs of their services."""

    processes: Processes
    database_url: str
    amqp_url: str
    gateway_url: str

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of the rival."""
        self.processes.start(name, [PYTHON, *arguments], self._environment(), cwd=PROJECT)

    def run(self, *arguments: str) -> None:
        """Run a process of the rival to its end. Raises CalledProcessError if it fails."""
        subprocess.run([PYTHON, *arguments], env=self._environment(), cwd=PROJECT, check=True)

    def wait_for_consumer(self, queue: str) -> None:
        """Wait until the queue has a consumer."""
        last = self.processes.children[-1]
        self.processes.wait_until_ready(last, lambda: _consumers(self.amqp_url, queue) > 0, START_SECONDS_MAX)

    def pause(self) -> None:
        """Suspend every process of the rival, so that it takes no CPU time from the contender being measured."""
        for process in self.family():
            process.suspend()

    def resume(self) -> None:
        """Resume every process of the rival."""
        for process in self.family():
            process.resume()

    def family(self) -> list[psutil.Process]:
        """Return the rival's processes with their children."""
        return [
            process
            for child in self.processes.children
            for process in (child.process, *child.process.children(recursive=True))
        ]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "DATABASE_URL": self.database_url,
            "AMQP_URL": self.amqp_url,
            "GATEWAY_URL": self.gateway_url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
        }


@contextmanager
def rival(folder: Path, database_url: str, amqp_url: str, gateway_url: str) -> Iterator[Rival]:
    """Yield a rival with its tables, but without processes. At the end of the block stop those it has started.

    Raises LocalError if the rivals' virtual environment is not installed.
    """
    if not PYTHON.exists():
        raise LocalError(f"The rivals' environment {ENVIRONMENT.name} is missing: run `make bench`, which installs it.")
    engine = engine_of(database_url)
    Base.metadata.create_all(engine)
    engine.dispose()
    started = Rival(Processes(folder), database_url, amqp_url, gateway_url)
    try:
        yield started
    finally:
        with suppress(psutil.NoSuchProcess):
            started.resume()
        started.processes.stop(seconds_max=2)


def _consumers(amqp_url: str, queue: str) -> int:
    async def ask() -> int:
        async with await aio_pika.connect(amqp_url) as connection:
            channel = await connection.channel()
            try:
                declared = await channel.declare_queue(queue, passive=True)
            except aio_pika.exceptions.ChannelNotFoundEntity:
                return 0
            return declared.declaration_result.consumer_count or 0

    return asyncio.run(ask())
