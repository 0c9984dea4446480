"""Runs a rival: processes of the bench's own environment, over a database and a virtual host of the rival's own."""

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
START_SECONDS_MAX = 30.0
NAIVE_CONSUMER = ("-m", "bench.rivals.naive.consumer")
# Four processes for each of two cores: with two for each it settled fewer payments, with eight no more.
CELERY_WORKER = (
    *("-m", "celery", "-A", "bench.rivals.celery_tasks.tasks", "worker", "--loglevel", "warning", "--concurrency", "8"),
    # The gossip of several workers, of which there is one.
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
CELERY_PRELOAD = ("-m", "bench.rivals.celery_tasks.preload")


@dataclass(frozen=True, slots=True)
class Rival:
    """A rival's processes, and what they work with."""

    processes: Processes
    database_url: str
    amqp_url: str
    gateway_url: str

    def start(self, name: str, *arguments: str) -> None:
        """Starts a process of the rival."""
        self.processes.start(name, [PYTHON, *arguments], self._environment(), cwd=PROJECT)

    def run(self, *arguments: str) -> None:
        """Runs a process of the rival to its end; raises CalledProcessError when it fails."""
        subprocess.run([PYTHON, *arguments], env=self._environment(), cwd=PROJECT, check=True)

    def wait_for_consumer(self, queue: str) -> None:
        """Returns when somebody consumes from the queue."""
        last = self.processes.children[-1]
        self.processes.wait_until_ready(last, lambda: _consumers(self.amqp_url, queue) > 0, START_SECONDS_MAX)

    def pause(self) -> None:
        """Stops every process of the rival where it is, so that it takes nothing from whoever is measured."""
        for process in self.family():
            process.suspend()

    def resume(self) -> None:
        """Lets every process of the rival go on."""
        for process in self.family():
            process.resume()

    def family(self) -> list[psutil.Process]:
        """The rival's processes with their children."""
        return [
            one for child in self.processes.children for one in (child.process, *child.process.children(recursive=True))
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
    """A rival without processes yet, its tables made; whatever it starts is ended at the end of the block.

    Raises LocalError when the environment of the rivals is not installed.
    """
    if not PYTHON.exists():
        raise LocalError(f"The rivals' environment {ENVIRONMENT.name} is missing: run `make bench`, which installs it.")
    engine = engine_of(database_url)
    Base.metadata.create_all(engine)
    engine.dispose()
    one = Rival(Processes(folder), database_url, amqp_url, gateway_url)
    try:
        yield one
    finally:
        with suppress(psutil.NoSuchProcess):
            one.resume()
        one.processes.stop(seconds_max=2)


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
