"""Start private PostgreSQL and RabbitMQ for the bench: durable as in production, on free ports, deleted afterwards."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from bench.results import Say
from local.servers import postgres
from local.servers.processes import stop_recorded
from local.servers.progress import Progress
from local.stack.stack import Stack
from local.testkit.servers import (
    Broker,
    Postgres,
    address_of,
    private_settings,
    start_broker,
    start_postgres,
    stop_and_remove,
)
from paybridge.database.database import Database


class Servers:
    """Servers that start when a measure first needs them. Use as a context manager."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @cached_property
    def folder(self) -> Path:
        """A temporary folder for the files of the measures."""
        folder = Path(tempfile.mkdtemp(prefix="paybridge-bench-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return folder

    @cached_property
    def postgres(self) -> Postgres:
        """A PostgreSQL with fsync and synchronous_commit on."""
        self.say("starting PostgreSQL")
        server = start_postgres(private_settings(self.folder / "postgres"))
        self._stack.callback(stop_and_remove, server)
        return server

    @cached_property
    def broker(self) -> Broker:
        """A RabbitMQ."""
        self.say("starting RabbitMQ")
        server = start_broker(private_settings(self.folder / "rabbitmq"))
        self._stack.callback(stop_and_remove, server)
        return server

    @cached_property
    def stack(self) -> Stack:
        """The whole offline stack, started and idle. Its gateway answers at once and always charges."""
        self.say("starting the whole stack")
        settings = replace(
            private_settings(self.folder / "stack"),
            gateway_success_rate=1.0,
            gateway_latency_seconds_min=0.0,
            gateway_latency_seconds_max=0.0,
        )
        stack = Stack(settings, Progress(quiet=True))
        self._stack.callback(_remove_stack, stack)
        stack.start()
        return stack

    def versions(self) -> dict[str, str]:
        """Return the versions of the running servers."""
        found = {}
        url = self._running_postgres_url()
        if url:
            with closing(postgres.connect(url)) as connection:
                found["postgresql"] = str(connection.run("SHOW server_version")[0][0]).split()[0]
        management_url = self._running_management_url()
        if management_url:
            answer = httpx.get(f"{management_url}/api/overview", trust_env=False, timeout=30)
            overview = answer.raise_for_status().json()
            found["rabbitmq"], found["erlang"] = str(overview["rabbitmq_version"]), str(overview["erlang_version"])
        return found

    def _running_postgres_url(self) -> str:
        if "postgres" in self.__dict__:
            return self.postgres.url
        return self.stack.urls.postgres if "stack" in self.__dict__ else ""

    def _running_management_url(self) -> str:
        if "broker" in self.__dict__:
            return self.broker.management_url
        return self.stack.urls.management if "stack" in self.__dict__ else ""


def open_database(url: str) -> closing[Database]:
    """Open a connection like a function's. It closes at the end of the block."""
    return closing(Database(address_of(url), "paybridge-bench"))


def _remove_stack(stack: Stack) -> None:
    stack.processes.stop(seconds_max=1)
    stop_recorded(stack.settings.state_dir)
    postgres.remove_data(stack.settings)
