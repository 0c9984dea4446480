"""Creating, reading and listing payments through the API function."""

from __future__ import annotations

from tests.support.api import ORDER, ApiClient


class TestCreate:
    def test_answers_202_with_the_pending_payment(self, client: ApiClient) -> None:
        answer = client.create(ORDER)
        assert answer.status == 202, answer.body
        payment = answer.json()
        assert payment["status"] == "pending"
        assert payment["amount"] == "100.50"
        assert answer.headers["location"] == f"/api/v1/payments/{payment['payment_id']}"
        assert answer.headers["content-type"] == "application/json"
