"""Logins that really change: a database role and a broker user for each test, and the secrets that hold them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from moto import mock_aws

from local.testkit.servers import Broker, Postgres
from paybridge import wiring
from paybridge.core.errors import PaybridgeError
from tests.support.secrets import BrokerLogin, DatabaseLogin, Secret


@pytest.fixture
def secrets_manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of an empty Secrets Manager, which `wiring` reads too."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # The rotating function is only a name here: the tests call the handler themselves.
    with mock_aws(config={"lambda": {"use_docker": False}}):
        forget_environment()
        yield boto3.client("secretsmanager")
        forget_environment()


def forget_environment() -> None:
    """Clear what an environment caches for its life."""
    for kept in (wiring.environment, wiring.logins, wiring.database):
        kept.cache_clear()


@pytest.fixture
def database_login(
    postgres_server: Postgres, secrets_manager: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DatabaseLogin]:
    """A role and its database, which `wiring.database` reaches through the role's secret."""
    url = postgres_server.fresh_database(migrated=False)
    login = DatabaseLogin.create(postgres_server, url, Secret.create(secrets_manager, "database"))
    for name, value in login.variables.items():
        monkeypatch.setenv(name, value)
    yield login
    # A test may leave the secret without a login.
    with suppress(PaybridgeError):
        wiring.database().close()
    login.remove()
    postgres_server.drop_database(url)


@pytest.fixture
def broker_login(broker: Broker, secrets_manager: Any, monkeypatch: pytest.MonkeyPatch) -> BrokerLogin:
    """A broker user in a fresh virtual host, which `wiring` reaches through the user's secret."""
    login = BrokerLogin.create(broker.fresh_vhost(), Secret.create(secrets_manager, "broker"))
    for name, value in login.variables.items():
        monkeypatch.setenv(name, value)
    return login
