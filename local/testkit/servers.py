"""A PostgreSQL and a RabbitMQ of the test session's own, on free ports and in a folder that goes afterwards.

The RabbitMQ may also be one that variables give (`given_broker.py`). The fixtures over these classes are in
`tests/conftest.py`.
"""

from __future__ import annotations

import itertools
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

from local.servers import postgres, rabbitmq
from local.servers.processes import Processes, free_port
from local.servers.progress import Progress
from local.settings import VARIABLES, LocalSettings
from local.stack import topology
from local.testkit import given_broker
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.database.migrations import migrate
from paybridge.database.rights import grant_rights

# A database is copied file by file, which takes long while other tests keep the disk busy.
COPY_SECONDS_MAX = 100


def private_settings(state_dir: Path) -> LocalSettings:
    """Settings of a stack that shares nothing with another one but the downloaded servers.

    A given broker is shared all the same: `running_stack` leads the stack to a virtual host of it.
    """
    ports: dict[str, Any] = {name: free_port() for name in VARIABLES if name.endswith("_port")}
    own: dict[str, Any] = {
        "postgres_url": "",
        "rabbitmq_url": "",
        "rabbitmq_management_url": "",
        "aws_endpoint": "",
        "compose": 0,
        # Code that is edited while tests run must not reach their functions.
        "reload": 0,
    }
    return replace(LocalSettings.load(), state_dir=state_dir, **own, **ports)


def address_of(database_url: str) -> DatabaseAddress:
    """The address by which `Database` reaches `postgresql://user:password@host:port/name`, without TLS."""
    parts = urlsplit(database_url)
    return DatabaseAddress(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 5432,
        name=parts.path.lstrip("/"),
        user=parts.username or "",
        password=parts.password or "",
    )


def this_month() -> str:
    """Return the month by which partitions are named now."""
    return f"{datetime.now(UTC):%Y_%m}"


@dataclass(slots=True)
class Postgres:
    """The session's PostgreSQL."""

    settings: LocalSettings
    processes: Processes
    url: str
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _templates: set[str] = field(default_factory=set)

    def fresh_database(self, *, migrated: bool = True) -> str:
        """Create an unused database and return its URL. A migrated one is copied within milliseconds."""
        template = self._migrated_template() if migrated else "template1"
        name = f"test_{next(self._numbers)}"
        self._create(name, template)
        return self._url_of(name)

    def copy_of(self, url: str) -> str:
        """Create a copy of a database that nothing is connected to, and return its URL."""
        name = f"test_{next(self._numbers)}"
        self._create(name, urlsplit(url).path.lstrip("/"))
        return self._url_of(name)

    def drop_database(self, url: str) -> None:
        """Drop a database of `fresh_database`, even if clients are still connected."""
        # Autovacuum may be: only a superuser may end it.
        with closing(postgres._superuser(self.settings.postgres_port, COPY_SECONDS_MAX)) as superuser:
            superuser.run(f"DROP DATABASE IF EXISTS {urlsplit(url).path.lstrip('/')} WITH (FORCE)")

    def stop(self) -> None:
        """Stop the server; connections break."""
        self.processes.stop_child("postgres")

    def start(self) -> None:
        """Start the server again on the same port with the same data."""
        postgres.start(self.settings, self.processes)

    def _migrated_template(self) -> str:
        """Return a migrated database of this month: migrations make the partitions of the months around theirs."""
        name = f"template_migrated_{this_month()}"
        if name not in self._templates:
            self._create(name, "template1")
            with closing(Database(address_of(self._url_of(name)))) as database:
                migrate(database)
                grant_rights(database)
            self._templates.add(name)
        return name

    def _create(self, name: str, template: str) -> None:
        self._run(f"CREATE DATABASE {name} TEMPLATE {template}")

    def _url_of(self, name: str) -> str:
        return postgres.url_of(self.settings.postgres_port, name)

    def _run(self, sql: str) -> None:
        with closing(postgres.connect(self.url, timeout_seconds=COPY_SECONDS_MAX)) as connection:
            connection.run(sql)


@dataclass(frozen=True, slots=True)
class Vhost:
    """A virtual host of the session's broker with the whole topology declared."""

    name: str
    amqp_url: str
    management_url: str


@dataclass(slots=True)
class Broker:
    """The session's RabbitMQ; `amqp_url` is that of vhost `/`, where nothing is declared."""

    settings: LocalSettings
    processes: Processes
    server: rabbitmq.RabbitMQServer
    # A given broker may have virtual hosts of another session.
    _prefix: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    _vhosts: list[str] = field(default_factory=list)

    @property
    def amqp_url(self) -> str:
        return self.server.amqp_url

    @property
    def management_url(self) -> str:
        return self.server.management_url

    def fresh_vhost(self, *, declared: bool = True, payment_shards: int = 0) -> Vhost:
        """Create a virtual host for the caller alone, with the topology in it unless not `declared`.

        It goes with the broker: RabbitMQ 3.10 may lose its supervisor of dead-letter workers when a queue with
        at-least-once dead-lettering is deleted, and can then declare no such queue until it is restarted.
        """
        vhost = self.named_vhost(f"{self._prefix}-{len(self._vhosts) + 1}")
        topology.create_vhost(self.management_url, vhost.name)
        if declared:
            topology.declare(self.management_url, vhost.name, payment_shards=payment_shards)
        return vhost

    def named_vhost(self, name: str) -> Vhost:
        """The virtual host of this name, which the test makes itself."""
        self._vhosts.append(name)
        return Vhost(name, f"{self.amqp_url.rstrip('/')}/{quote(name, safe='')}", self.management_url)

    def stop(self) -> None:
        """Stop the broker for an outage; what is in durable queues stays."""
        self.server.stop()

    def start(self) -> None:
        """End the outage: start the broker again on the same ports with the same data."""
        self.server.start()

    def remove_vhosts(self) -> None:
        """Delete the virtual hosts that tests had; for a broker that goes on after the session."""
        given_broker.remove_vhosts(self.management_url, self._vhosts)


def start_postgres(settings: LocalSettings) -> Postgres:
    """Start a PostgreSQL for tests; the caller stops it by `stop_and_remove`."""
    processes = Processes(settings.state_dir)
    server = postgres.start(settings, processes)
    return Postgres(settings, processes, server.url)


def session_broker(state_dir: Path) -> Broker:
    """The given RabbitMQ, or one that is started; the caller ends it by `end_broker`."""
    settings = private_settings(state_dir)
    if not given_broker.is_given():
        return start_broker(settings)
    settings, processes = given_broker.settings_of_given(settings), Processes(state_dir)
    return Broker(settings, processes, given_broker.start_given(settings, processes))


def end_broker(broker: Broker) -> None:
    """Stop a private broker and delete its data; of a given one delete what the tests made."""
    if given_broker.is_given():
        broker.remove_vhosts()
    else:
        stop_and_remove(broker)


def start_broker(settings: LocalSettings) -> Broker:
    """Start a RabbitMQ for tests; the caller stops it by `stop_and_remove`."""
    processes = Processes(settings.state_dir)
    try:
        server = rabbitmq.start(settings, processes, Progress())
    except BaseException:
        processes.stop()
        raise
    return Broker(settings, processes, server)


def stop_and_remove(server: Postgres | Broker) -> None:
    """Stop `server` for good and delete its data."""
    # Its data is thrown away, so a broker need not be asked politely for the seconds that this takes.
    server.processes.stop(seconds_max=0.5)
    postgres.remove_data(server.settings)
    rabbitmq.remove_data(server.settings)
