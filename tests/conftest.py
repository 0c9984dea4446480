"""Fixtures for tests that need real servers; they start with the first test that asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import settings

from local.stack.stack import Stack
from local.testkit import given_broker, servers
from local.testkit.local_servers import running_gateway
from local.testkit.stacks import running_stack
from local.testkit.valkey_server import ValkeyServer, running_valkey
from paybridge.core.errors import LockTimeout, PaybridgeError
from paybridge.database import database as database_module
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from paybridge.database.errors import translated
from tests.support.environments import INSTALL_SECONDS_MAX, install
from tests.support.interrupts import raise_on_first_signal, stop_servers_of_lost_workers, stop_servers_of_workers
from tests.support.weights import ENVIRONMENTS, Weight, heaviest_files_first, weight_of

# Each process has its own servers. More processes would only wait for the disk.
PROCESSES_MAX = 8
# The first test that needs a stack also starts it: a dozen processes, beside other tests that do the same.
STACK_TEST_SECONDS_MAX = 300


def pytest_configure() -> None:
    """Let Ctrl-C end what tests start, and no example of a property fail because the machine is busy."""
    raise_on_first_signal()
    # Tests start thousands of Python processes, and each would compile the product again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    settings.register_profile("paybridge", deadline=None)
    settings.load_profile("paybridge")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Leave no server of a worker behind, whatever ended the session."""
    if not session.config.pluginmanager.hasplugin("dsession"):
        return (yield)
    stop_servers_of_workers()
    yield
    stop_servers_of_lost_workers(session.config._tmp_path_factory.getbasetemp())
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one process more than there are cores, because tests wait a lot; none beside a given broker."""
    return 0 if given_broker.is_given() else min((os.cpu_count() or 1) + 1, PROCESSES_MAX)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the slow tests, let parallel processes begin with them, and skip what a given broker does not allow."""
    if hasattr(config, "workerinput"):
        heaviest_files_first(items)
    for item in items:
        weight = weight_of(item)
        if weight == Weight.STACK and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STACK_TEST_SECONDS_MAX))
        if weight != Weight.LIGHT:
            item.add_marker(pytest.mark.slow)
        if ENVIRONMENTS.intersection(getattr(item, "fixturenames", ())):
            # The first test that needs an environment waits for its installation.
            item.add_marker(pytest.mark.timeout(INSTALL_SECONDS_MAX), append=False)
        if item.get_closest_marker("broker_stops") and not given_broker.can_be_stopped():
            item.add_marker(pytest.mark.skip(reason=f"stops the broker: set {given_broker.CTL} to allow it"))


@pytest.fixture(scope="session")
def sam_environment() -> None:
    """Install the SAM command line tool."""
    install("sam")


@pytest.fixture(scope="session")
def bench_environment() -> None:
    """Install the rivals of the benchmark and the load generator."""
    install("bench")


@pytest.fixture(scope="session")
def localstack_environment() -> None:
    """Install the AWS emulator."""
    install("localstack")


@pytest.fixture(scope="session")
def checkov_environment() -> None:
    """Install checkov."""
    install("checkov")


@pytest.fixture(scope="session")
def notebook_environment() -> None:
    """Install what the example notebook needs."""
    install("notebook")


@pytest.fixture(scope="session")
def openapi_environment() -> None:
    """Install Node.js and the tools that check the OpenAPI document."""
    install("openapi")


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


@pytest.fixture
def lock_timeouts(monkeypatch: pytest.MonkeyPatch) -> list[LockTimeout]:
    """The lock timeouts and deadlocks of every connection, as they happen."""
    found: list[LockTimeout] = []

    def note(error: BaseException) -> PaybridgeError:
        ours = translated(error)
        if isinstance(ours, LockTimeout):
            found.append(ours)
        return ours

    monkeypatch.setattr(database_module, "translated", note)
    return found


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
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """The session's Valkey: `url`, `client()`. A test that stops it starts another."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


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
    """The whole offline stack on free ports, with a gateway that answers at once and always charges.

    `stack.urls` says where its parts are; `tok_…` payment methods choose other outcomes.
    """
    settings = servers.private_settings(tmp_path_factory.mktemp("stack"))
    quick = replace(
        settings, gateway_success_rate=1.0, gateway_latency_seconds_min=0.0, gateway_latency_seconds_max=0.0
    )
    with running_stack(quick, shared_broker) as running:
        yield running
