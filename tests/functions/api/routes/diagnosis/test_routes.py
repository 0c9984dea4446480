"""The operators' page of a payment, as API Gateway calls it."""

from __future__ import annotations

import uuid

import pytest

from local.testkit.api import OPERATOR_KEY, ORDER, ApiClient
from paybridge.access.domain.caller import Role
from paybridge.access.register import register_merchant
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/payments"
_CHARGE = Statement("""
    INSERT INTO operations (id, payment_id, merchant_id, kind, gateway, amount_minor, status, number, started_at,
                            correlation_id, created_at, updated_at)
    SELECT id, id, merchant_id, 'charge', 'default', amount_minor, 'started', 1, created_at + interval '1 s',
           correlation_id, created_at, created_at
    FROM payments WHERE id = :id::uuid
""")
_BEGIN = Statement("UPDATE payments SET status = 'processing', gateway = 'default' WHERE id = :id::uuid")


class TestShow:
    def test_it_says_where_a_payment_is_and_why(self, client: ApiClient, database: Database) -> None:
        payment = client.create(ORDER).json()
        database.run(_BEGIN, id=payment["payment_id"])
        database.run(_CHARGE, id=payment["payment_id"])
        answer = client.get(f"{PATH}/{payment['payment_id']}", api_key=OPERATOR_KEY)
        assert answer.status == 200
        shown = answer.json()
        assert {**payment, "status": "processing", "updated_at": shown["updated_at"]}.items() <= shown.items()
        assert "payment.created waits in the outbox for payments.new" in shown["explanation"]
        [charge] = shown["operations"]
        assert (charge["operation_id"], charge["kind"], charge["status"], charge["attempts"]) == (
            payment["payment_id"],
            "charge",
            "started",
            1,
        )
        assert "has attempt 1 under way since" in charge["explanation"]
        assert [entry["type"] for entry in shown["timeline"]] == ["payment.created", "gateway.attempt_started"]
        assert shown["is_timeline_whole"] is True

    def test_a_long_timeline_ends_with_its_newest_entries(
        self, client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        payment_id = client.create(ORDER).json()["payment_id"]
        database.run(_CHARGE, id=payment_id)
        monkeypatch.setattr("api.routes.diagnosis.answers.count_fitting", lambda items: min(len(items), 1))
        shown = client.get(f"{PATH}/{payment_id}", api_key=OPERATOR_KEY).json()
        assert [entry["type"] for entry in shown["timeline"]] == ["gateway.attempt_started"]
        assert shown["is_timeline_whole"] is False

    @pytest.mark.parametrize("unknown", ["00000000-0000-7000-8000-000000000000", "x"])
    def test_an_unknown_payment_is_not_found(self, client: ApiClient, unknown: str) -> None:
        answer = client.get(f"{PATH}/{unknown}", api_key=OPERATOR_KEY)
        assert (answer.status, answer.json()["code"]) == (404, "payment_not_found")

    @pytest.mark.parametrize(
        ("role", "status"),
        [(Role.MERCHANT, 403), (Role.SUPPORT, 403), (Role.AUDITOR, 200), (Role.OPERATOR, 200), (Role.ADMIN, 200)],
    )
    def test_operators_admins_and_auditors_may_look(
        self, client: ApiClient, database: Database, role: Role, status: int
    ) -> None:
        payment_id = client.create(ORDER).json()["payment_id"]
        key = f"key-of-{role}-{uuid.uuid4()}"
        register_merchant(database, name=role, api_key=key, webhook_secret="whsec_x", role=role)
        assert client.get(f"{PATH}/{payment_id}", api_key=key).status == status
