"""Fixtures for tests that need real servers; they start with the first test that asks for them."""

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from local.stack.stack import Stack
from local.testkit import given_broker, servers
from local.testkit.local_servers import running_gateway
from local.testkit.stacks import running_stack
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A given broker that the session has no tool for cannot be stopped."""
    if not given_broker.can_be_stopped():
        reason = pytest.mark.skip(reason=f"stops the broker, for which {given_broker.CTL} is to be set")
        for item in items:
            if item.get_closest_marker("broker_stops") is not None:
                item.add_marker(reason)


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


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    """A connection to the module's migrated database."""
    with closing(Database(database_address, "tests")) as database:
        yield database


@pytest.fixture(scope="module")
def gateway_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A simulated gateway of the module's own, which answers at once."""
    with running_gateway(tmp_path_factory.mktemp("gateway") / "charges.jsonl") as url:
        yield url


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Broker]:
    """The session's RabbitMQ: `fresh_vhost()`, `stop()`, `start()`."""
    found = servers.session_broker(tmp_path_factory.mktemp("rabbitmq"))
    yield found
    servers.end_broker(found)


@pytest.fixture(scope="session")
def shared_broker(request: pytest.FixtureRequest) -> servers.Broker | None:
    """The broker that whole stacks use as well, because variables give it; None leaves them their own."""
    return request.getfixturevalue("broker") if given_broker.is_given() else None


@pytest.fixture
def vhost(broker: servers.Broker) -> servers.Vhost:
    """A virtual host of the test's own, with the topology declared."""
    return broker.fresh_vhost()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, shared_broker: servers.Broker | None) -> Iterator[Stack]:
    """The whole offline stack on ports of its own, with a gateway that answers at once and always charges.

    `stack.urls` says where its parts are; `tok_…` payment methods choose other outcomes.
    """
    settings = servers.private_settings(tmp_path_factory.mktemp("stack"))
    quick = replace(
        settings, gateway_success_rate=1.0, gateway_latency_seconds_min=0.0, gateway_latency_seconds_max=0.0
    )
    with running_stack(quick, shared_broker) as running:
        yield running
