"""Fixtures for tests that need real servers; they start with the first test that asks for them."""

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from local.servers import postgres
from local.stack import Stack
from paybridge.store.connecting import DatabaseAddress
from tests.support import servers


def pytest_configure() -> None:
    """Has Ctrl-C end what tests start: a shell's background job ignores it, and hands that on to every process."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Postgres]:
    """The session's PostgreSQL: `fresh_database()`, `stop()`, `start()`."""
    server = servers.start_postgres(servers.private_settings(tmp_path_factory.mktemp("postgres")))
    yield server
    servers.stop_and_remove(server)


@pytest.fixture(scope="module")
def database_url(postgres_server: servers.Postgres) -> Iterator[str]:
    """URL of a migrated database that belongs to the test module."""
    url = postgres_server.fresh_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def database_address(database_url: str) -> DatabaseAddress:
    """The module's migrated database, as `Database` wants it."""
    return servers.address_of(database_url)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Broker]:
    """The session's RabbitMQ: `fresh_vhost()`, `stop()`, `start()`."""
    server = servers.start_broker(servers.private_settings(tmp_path_factory.mktemp("rabbitmq")))
    yield server
    servers.stop_and_remove(server)


@pytest.fixture
def vhost(broker: servers.Broker) -> servers.Vhost:
    """A virtual host of the test's own, with the topology declared."""
    return broker.fresh_vhost()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole offline stack on ports of its own, with a gateway that answers at once and always charges.

    `stack.urls` says where its parts are; `tok_…` payment methods choose other outcomes.
    """
    settings = servers.private_settings(tmp_path_factory.mktemp("stack"))
    quick = replace(
        settings, gateway_success_rate=1.0, gateway_latency_seconds_min=0.0, gateway_latency_seconds_max=0.0
    )
    running = Stack(quick)
    running.start()
    yield running
    running.processes.stop(seconds_max=1)
    postgres.remove_data(running.settings)
