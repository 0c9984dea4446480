"""Deliveries over HTTP: what their views say, and how a redelivery is answered."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, OTHER_KEY, Answer, ApiClient, demo_merchant_id
from local.testkit.payments import new_payment
from local.testkit.webhooks import ended_delivery
from paybridge.database.database import Database, Statement
from tests.support.feed import await_horizon
from tests.support.openapi import Contract

pytestmark = pytest.mark.integration

DELIVERIES = "/api/v1/webhook-deliveries"
ENDPOINTS = "/api/v1/webhook-endpoints"
RECOVER = f"{ENDPOINTS}/{{endpoint_id}}/recover"
RECOVERY = f"{ENDPOINTS}/{{endpoint_id}}/recoveries/{{recovery_id}}"
ONE, REDELIVER = f"{DELIVERIES}/{{delivery_id}}", f"{DELIVERIES}/{{delivery_id}}/redeliver"


@pytest.fixture
def contract(client: ApiClient) -> Contract:
    return Contract(client.get("/openapi.json").json())


@pytest.fixture
def payment_id(database: Database) -> uuid.UUID:
    return new_payment(database, demo_merchant_id(database))


@pytest.fixture
def path(database: Database, payment_id: uuid.UUID) -> str:
    """The path of a failed delivery of the demo merchant."""
    return f"{DELIVERIES}/{ended_delivery(database, demo_merchant_id(database), payment_id)}"


class TestRead:
    def test_shows_code_duration_and_first_bytes_of_each_attempt(
        self, client: ApiClient, contract: Contract, path: str, payment_id: uuid.UUID
    ) -> None:
        answer = client.get(path)
        contract.check("GET", ONE, answer)
        view = answer.json()
        [attempt] = view["attempts"]
        assert view["last_attempt"] == attempt
        assert (attempt["response_status"], attempt["duration_ms"], attempt["response_excerpt"]) == (
            503,
            12,
            "out of order",
        )
        assert (view["status"], view["payment_id"], view["attempt_count"]) == ("failed", str(payment_id), 1)

    def test_staff_reads_it_and_another_merchant_does_not(self, client: ApiClient, path: str) -> None:
        assert client.get(path, api_key=OPERATOR_KEY).status == 200
        assert client.get(path, api_key=OTHER_KEY).json()["code"] == "webhook_delivery_not_found"

    @pytest.mark.parametrize("id_", ["x", str(uuid.UUID(int=7))])
    def test_an_unknown_id_is_404(self, client: ApiClient, contract: Contract, id_: str) -> None:
        contract.check("GET", ONE, client.get(f"{DELIVERIES}/{id_}"))
        assert client.get(f"{DELIVERIES}/{id_}").status == 404


class TestRedeliver:
    def test_answers_202_then_409_while_it_is_pending(self, client: ApiClient, contract: Contract, path: str) -> None:
        first, second = (client.request("POST", f"{path}/redeliver") for _ in range(2))
        for answer in (first, second):
            contract.check("POST", REDELIVER, answer)
        assert (first.status, first.json()["status"], first.headers["location"]) == (202, "pending", path)
        assert (second.status, second.json()["code"]) == (409, "webhook_delivery_pending")
        assert client.get(path).json()["status"] == "pending"

    def test_staff_may_not(self, client: ApiClient, path: str) -> None:
        answer = client.request("POST", f"{path}/redeliver", api_key=OPERATOR_KEY)
        assert (answer.status, answer.json()["code"]) == (403, "role_not_permitted")
        assert client.get(path).json()["status"] == "failed"

    def test_another_merchant_may_not(self, client: ApiClient, contract: Contract, path: str) -> None:
        answer = client.request("POST", f"{path}/redeliver", api_key=OTHER_KEY)
        contract.check("POST", REDELIVER, answer)
        assert answer.status == 404


@pytest.fixture
def endpoint(client: ApiClient, database: Database) -> str:
    """The path of an endpoint of the demo merchant."""
    database.run(Statement("UPDATE webhook_endpoints SET deleted_at = now() WHERE deleted_at IS NULL"))
    body = json.dumps({"url": "http://127.0.0.1:9/x", "events": ["payment.created"]}).encode()
    return f"{ENDPOINTS}/{client.request('POST', ENDPOINTS, body=body).json()['endpoint_id']}"


def recover(client: ApiClient, endpoint: str, body: Any, **options: Any) -> Answer:
    return client.request("POST", f"{endpoint}/recover", body=json.dumps(body).encode(), **options)


class TestRecover:
    def test_sends_what_the_endpoint_has_missed(
        self, client: ApiClient, contract: Contract, database: Database, endpoint: str, payment_id: uuid.UUID
    ) -> None:
        since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        await_horizon(database)
        answer = recover(client, endpoint, {"since": since})
        contract.check("POST", RECOVER, answer)
        view = answer.json()
        assert (answer.status, view["state"], view["sent"] >= 1) == (202, "finished", True)
        assert answer.headers["location"] == f"{endpoint}/recoveries/{view['recovery_id']}"
        read = client.get(answer.headers["location"], api_key=OPERATOR_KEY)
        contract.check("GET", RECOVERY, read)
        assert read.json() == view
        listed = client.get(f"{endpoint}/deliveries").json()["data"]
        assert str(payment_id) in {each["payment_id"] for each in listed}

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "required"),
            ({"since": "yesterday"}, "time_invalid"),
            ({"since": "2999-01-01T00:00:00Z"}, "time_in_future"),
            ({"since": "2026-01-01T00:00:00Z", "until": 1}, "unknown_member"),
        ],
    )
    def test_refuses_other_times(
        self, client: ApiClient, contract: Contract, endpoint: str, body: Any, code: str
    ) -> None:
        answer = recover(client, endpoint, body)
        contract.check("POST", RECOVER, answer)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (422, code)

    def test_refuses_a_disabled_endpoint(self, client: ApiClient, contract: Contract, endpoint: str) -> None:
        client.request("PATCH", endpoint, body=b'{"status": "disabled"}')
        answer = recover(client, endpoint, {"since": "2026-01-01T00:00:00Z"})
        contract.check("POST", RECOVER, answer)
        assert (answer.status, answer.json()["code"]) == (409, "webhook_endpoint_disabled")

    def test_another_merchant_and_staff_may_not(self, client: ApiClient, contract: Contract, endpoint: str) -> None:
        since = {"since": "2026-01-01T00:00:00Z"}
        stranger = recover(client, endpoint, since, api_key=OTHER_KEY)
        contract.check("POST", RECOVER, stranger)
        assert stranger.status == 404
        assert recover(client, endpoint, since, api_key=OPERATOR_KEY).json()["code"] == "role_not_permitted"
        unknown = client.get(f"{endpoint}/recoveries/{uuid.uuid4()}")
        contract.check("GET", RECOVERY, unknown)
        assert unknown.status == 404
