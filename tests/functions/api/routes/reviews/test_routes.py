"""Reviews over HTTP: who may list, approve and reject, and what the answers say."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.testkit.api import MERCHANT_KEY, OPERATOR_KEY, OTHER_KEY, Answer, ApiClient
from paybridge.access.register import register_merchant
from paybridge.database.database import Database
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import OperationOrder
from paybridge.payments.start_attempts import start_attempts
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

PAYMENTS, REVIEWS = "/api/v1/payments", "/api/v1/ops/reviews"
STAFF = {role: f"secret-{role}-key-of-reviews" for role in ("support", "auditor", "admin")}


@pytest.fixture(scope="module", autouse=True)
def staff(database: Database) -> None:
    for role, api_key in STAFF.items():
        register_merchant(database, name=role, api_key=api_key, role=role)


@pytest.fixture
def payment_id(client: ApiClient, database: Database) -> str:
    """A payment of the demo merchant that waits for a review."""
    rules = {"rules": [{"id": "all", "action": "review", "score": 5, "when": {}}]}
    assert client.request("PUT", "/api/v1/fraud-rules", body=json.dumps(rules).encode()).status == 200
    id_: str = client.create().json()["payment_id"]
    services = engine_services(database, RecordingGateway())
    start_attempts(services, [OperationOrder(uuid.UUID(id_), 1)], GatewayWatch())
    return id_


def answer(
    client: ApiClient, payment_id: str, action: str, body: bytes = b"", *, key: str | None = None, **options: Any
) -> Answer:
    headers = {"idempotency-key": key or str(uuid.uuid4())}
    return client.request("POST", f"{PAYMENTS}/{payment_id}/{action}", headers=headers, body=body, **options)


class TestAnswers:
    @pytest.mark.parametrize(
        ("action", "status", "failure_code"), [("approve", "processing", None), ("reject", "failed", "review_rejected")]
    )
    @pytest.mark.parametrize("api_key", [MERCHANT_KEY, OPERATOR_KEY, STAFF["admin"]])
    def test_the_merchant_and_operators_may(
        self, client: ApiClient, payment_id: str, action: str, status: str, failure_code: str | None, api_key: str
    ) -> None:
        assert client.get(f"{PAYMENTS}/{payment_id}").json()["status"] == "review"
        answered = answer(
            client, payment_id, action, b'{"note": "Called them."}', key="k" + payment_id, api_key=api_key
        )
        assert answered.status == 202
        payment = answered.json()
        assert (payment["status"], payment["failure_code"]) == (status, failure_code)
        assert payment["screening"] == {"decision": "review", "score": 5, "rules": ["all"]}
        assert answered.headers["location"] == f"{PAYMENTS}/{payment_id}"
        assert client.get(f"{PAYMENTS}/{payment_id}").json() == payment
        again = answer(client, payment_id, action, b'{ "note":"Called them." }', key="k" + payment_id, api_key=api_key)
        assert (again.status, again.body) == (202, answered.body)
        assert again.headers["idempotency-replayed"] == "true"
        entries = client.get(f"{PAYMENTS}/{payment_id}/events").json()["data"]
        steps = {entry["type"]: entry["details"] for entry in entries}
        done = {"approve": "approved", "reject": "rejected"}[action]
        assert steps[f"review.{done}"]["note"] == "Called them."
        assert steps[f"review.{done}"]["actor"].startswith(
            "merchant" if api_key == MERCHANT_KEY else ("operator", "admin")
        )
        order = [entry["type"] for entry in entries if not entry["type"].startswith("event.")]
        assert order[:4] == ["payment.created", "screening.decided", "payment.review", f"review.{done}"]

    @pytest.mark.parametrize("action", ["approve", "reject"])
    def test_others_may_not(self, client: ApiClient, payment_id: str, action: str) -> None:
        assert answer(client, payment_id, action, api_key=OTHER_KEY).json()["code"] == "payment_not_found"
        for role in ("support", "auditor"):
            assert answer(client, payment_id, action, api_key=STAFF[role]).json()["code"] == "role_not_permitted"
        assert answer(client, payment_id, action, api_key="").status == 401
        assert answer(client, "nonsense", action).json()["code"] == "payment_not_found"
        assert client.get(f"{PAYMENTS}/{payment_id}").json()["status"] == "review"

    @pytest.mark.parametrize("action", ["approve", "reject"])
    def test_a_payment_that_waits_for_nothing(self, client: ApiClient, action: str) -> None:
        pending = client.create().json()["payment_id"]
        refused = answer(client, pending, action)
        assert (refused.status, refused.json()["code"]) == (409, "payment_not_in_review")
        assert refused.json()["status"] == 409
        assert refused.json()["payment_status"] == "pending"

    def test_a_second_answer_comes_too_late(self, client: ApiClient, payment_id: str) -> None:
        assert answer(client, payment_id, "reject").status == 202
        late = answer(client, payment_id, "approve")
        assert (late.status, late.json()["payment_status"]) == (409, "failed")

    def test_the_key_is_required_and_belongs_to_one_request(self, client: ApiClient, payment_id: str) -> None:
        missing = client.request("POST", f"{PAYMENTS}/{payment_id}/approve", body=b"{}")
        assert missing.json()["code"] == "idempotency_key_missing"
        assert answer(client, payment_id, "approve", b"{}", key="mine" + payment_id).status == 202
        reused = answer(client, payment_id, "approve", b'{"note": "x"}', key="mine" + payment_id)
        assert (reused.status, reused.json()["code"]) == (422, "idempotency_key_reused")

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            (b"[]", 422, None),
            (b"{", 400, None),
            (b'{"note": 5}', 422, "note"),
            (b'{"note": ""}', 422, "note"),
            (json.dumps({"note": "x" * 501}).encode(), 422, "note"),
            (b'{"reason": "x"}', 422, "reason"),
        ],
    )
    def test_a_body_that_is_wrong(
        self, client: ApiClient, payment_id: str, body: bytes, status: int, field: str | None
    ) -> None:
        refused = answer(client, payment_id, "reject", body)
        assert refused.status == status
        assert [error["field"] for error in refused.json()["errors"]] == ([field] if field else [])


class TestList:
    def test_staff_reads_the_oldest_first(self, client: ApiClient, payment_id: str) -> None:
        for api_key in (OPERATOR_KEY, *STAFF.values()):
            assert client.get(REVIEWS, api_key=api_key).status == 200
        found, cursor = [], ""
        while cursor is not None:
            page = client.get(REVIEWS, query={"limit": "1", "cursor": cursor}, api_key=OPERATOR_KEY).json()
            found += page["data"]
            cursor = page["next_cursor"]
            assert page["has_more"] is (cursor is not None)
        ids = [payment["payment_id"] for payment in found]
        assert ids == sorted(ids)
        assert ids[-1] == payment_id
        review = found[-1]["review"]
        assert found[-1]["status"] == "review"
        assert uuid.UUID(found[-1]["merchant_id"])
        assert (review["decision"], review["score"], review["rules"], review["facts"]) == (
            "review",
            5,
            ["all"],
            {"velocities": []},
        )
        assert review["expires_at"] > review["screened_at"]

    def test_merchants_do_not(self, client: ApiClient) -> None:
        assert client.get(REVIEWS).json()["code"] == "role_not_permitted"
        assert client.get(REVIEWS, api_key="").status == 401

    def test_a_query_that_is_wrong(self, client: ApiClient) -> None:
        refused = client.get(REVIEWS, query={"limit": "0", "cursor": "x" * 65, "page": "2"}, api_key=OPERATOR_KEY)
        assert {error["field"] for error in refused.json()["errors"]} == {"limit", "cursor", "page"}
        assert client.get(REVIEWS, query={"cursor": "zzz"}, api_key=OPERATOR_KEY).json()["code"] == "cursor_invalid"
