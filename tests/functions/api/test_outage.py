"""The database goes down and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit import servers
from local.testkit.api import ORDER, ApiClient, api_client, event_loop, register_demo_merchants
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.faults

_COUNT = Statement("SELECT count(*) FROM payments")
_END_CONNECTIONS = Statement("""
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
""")


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Postgres]:
    """Start a PostgreSQL that this module may stop."""
    server = servers.start_postgres(servers.private_settings(tmp_path_factory.mktemp("outage")))
    yield server
    servers.stop_and_remove(server)


@pytest.fixture
def database(own_server: servers.Postgres) -> Iterator[Database]:
    """Connect to a fresh database with the demo merchants."""
    with event_loop(), closing(Database(servers.address_of(own_server.fresh_database()))) as connection:
        register_demo_merchants(connection)
        yield connection


@pytest.fixture
def client(database: Database) -> ApiClient:
    """Call the function over the same connection."""
    return api_client(database)


class TestOutage:
    def test_a_payment_during_the_outage_is_a_503_and_afterwards_a_payment(
        self, own_server: servers.Postgres, database: Database, client: ApiClient
    ) -> None:
        before = client.create(ORDER, key="before")
        own_server.stop()
        try:
            refused = client.create(ORDER, key="during")
        finally:
            own_server.start()
        assert (refused.status, refused.json()["code"]) == (503, "service_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["content-type"] == "application/problem+json"
        again = client.create(ORDER, key="during")
        assert again.status == 202
        assert "idempotency-replayed" not in again.headers
        assert client.create(ORDER, key="before").body == before.body
        assert database.run(_COUNT) == [[2]]

    def test_every_route_answers_503_with_retry_after(self, own_server: servers.Postgres, client: ApiClient) -> None:
        path = client.create(ORDER).headers["location"]
        own_server.stop()
        try:
            answers = [client.get(place) for place in (path, f"{path}/events", "/api/v1/payments")]
            answers.append(client.get(path, api_key="secret-other-key"))
            waited = client.get(path, headers={"prefer": "wait=5"})
        finally:
            own_server.start()
        assert {answer.status for answer in [*answers, waited]} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}

    def test_a_connection_that_died_while_idle_is_replaced(
        self, own_server: servers.Postgres, database: Database, client: ApiClient
    ) -> None:
        client.create(ORDER)
        with closing(Database(database._address)) as other:
            other.run(_END_CONNECTIONS)
        assert client.create(ORDER).status == 202
