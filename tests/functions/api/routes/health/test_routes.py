"""Liveness and readiness."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from api.handler import ApiHandler
from local.testkit import servers
from local.testkit.api import ORDER, AbsentBroker, ApiClient, api_client, api_services, event_loop
from paybridge.database.database import Database, Statement

_AGE_OUTBOX = Statement("UPDATE outbox SET available_at = now() - interval '90 s' WHERE published_at IS NULL")

_PUBLISH_ALL = Statement("UPDATE outbox SET published_at = now() WHERE published_at IS NULL")
# A row that the broker has refused for five minutes, as the relay leaves it.
_REFUSE = Statement("""
    UPDATE outbox SET attempts = 8, created_at = now() - interval '300 s', available_at = now() + interval '60 s'
    WHERE payment_id = :id::uuid
""")
_PUT_OFF = Statement("""
    UPDATE outbox SET created_at = now() - interval '300 s', available_at = now() + interval '1 day'
    WHERE payment_id = :id::uuid
""")


def checks_of(client: ApiClient, status: int) -> dict[str, dict[str, Any]]:
    """Return the checks by name."""
    answer = client.get("/health/ready", api_key="")
    assert answer.status == status
    return {check["name"]: check for check in answer.json()["checks"]}


class TestReady:
    def test_is_ready_if_every_dependency_answers(self, client: ApiClient) -> None:
        checks = checks_of(client, 200)
        assert {name: check["ok"] for name, check in checks.items()} == {
            "database": True,
            "schema": True,
            "relay": True,
            "broker": True,
        }

    def test_the_oldest_due_message_is_the_lag(self, client: ApiClient, database: Database) -> None:
        client.create(ORDER)
        database.run(_AGE_OUTBOX)
        assert 90 <= checks_of(client, 200)["relay"]["lag_seconds"] < 120

    def test_a_message_that_the_broker_keeps_refusing_is_a_lag(self, client: ApiClient, database: Database) -> None:
        database.run(_PUBLISH_ALL)
        payment_id = client.create(ORDER).json()["payment_id"]
        database.run(_REFUSE, id=payment_id)
        assert 300 <= checks_of(client, 200)["relay"]["lag_seconds"] < 330
        database.run(_PUBLISH_ALL)
        assert checks_of(client, 200)["relay"]["lag_seconds"] == 0

    def test_a_scheduled_retry_is_not_a_lag(self, client: ApiClient, database: Database) -> None:
        database.run(_PUBLISH_ALL)
        payment_id = client.create(ORDER).json()["payment_id"]
        database.run(_PUT_OFF, id=payment_id)
        assert checks_of(client, 200)["relay"]["lag_seconds"] == 0

    def test_names_a_broker_that_is_down(self, database: Database) -> None:
        client = api_client(database, broker=AbsentBroker())
        checks = checks_of(client, 503)
        assert [name for name, check in checks.items() if not check["ok"]] == ["broker"]
        assert client.get("/health/ready").json()["detail"] == "Not ready: broker."

    def test_accepting_payments_needs_no_broker(self, database: Database) -> None:
        client = api_client(database, broker=AbsentBroker())
        accepting = client.get("/health/ready", query={"for": "accepting"}, api_key="")
        assert accepting.status == 200
        assert [check["name"] for check in accepting.json()["checks"]] == ["database", "schema", "relay"]
        assert client.create(ORDER).status == 202

    @pytest.mark.usefixtures("client")
    def test_accepting_payments_needs_the_database(self) -> None:
        nowhere = servers.address_of("postgresql://nobody:x@127.0.0.1:1/none")
        with closing(Database(nowhere)) as connection:
            answer = api_client(connection).get("/health/ready", query={"for": "accepting"}, api_key="")
            assert (answer.status, answer.json()["detail"]) == (503, "Not ready: database.")

    @pytest.mark.parametrize("query", ["for=lunch", "for="])
    def test_an_unknown_purpose_is_refused(self, client: ApiClient, query: str) -> None:
        answer = client.get("/health/ready", query=query, api_key="")
        assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "for")

    def test_health_names_the_release(self, database: Database) -> None:
        services = replace(api_services(database), release="6f1c0d2a9b")
        logger = Logger(service="api", level="CRITICAL")
        client = ApiClient(ApiHandler(create_app(services, logger), logger))
        assert client.get("/health", api_key="").json()["revision"] == "6f1c0d2a9b"

    def test_names_a_schema_that_is_missing(self, postgres_server: servers.Postgres) -> None:
        url = postgres_server.fresh_database(migrated=False)
        with event_loop(), closing(Database(servers.address_of(url))) as connection:
            checks = checks_of(api_client(connection), 503)
        postgres_server.drop_database(url)
        assert [name for name, check in checks.items() if not check["ok"]] == ["schema"]

    def test_health_asks_no_dependency(self) -> None:
        nowhere = servers.address_of("postgresql://nobody:x@127.0.0.1:1/none")
        with event_loop(), closing(Database(nowhere)) as connection:
            client = api_client(connection, broker=AbsentBroker())
            assert client.get("/health", api_key="").json() == {"status": "ok", "version": "1.0.0", "revision": None}
            assert checks_of(client, 503)["database"] == {"name": "database", "ok": False}
