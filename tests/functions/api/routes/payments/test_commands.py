"""Capture and cancel payments through the API function."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from local.testkit.api import OTHER_KEY, Answer, ApiClient, demo_merchant_id
from local.testkit.payments import authorized_payment, captured_payment, new_payment, payment_row
from paybridge.database.database import Database, Statement

_PROCESSING = Statement("UPDATE payments SET status = 'processing' WHERE id = :id::uuid")


@pytest.fixture
def merchant_id(database: Database) -> uuid.UUID:
    """The demo merchant."""
    return demo_merchant_id(database)


@pytest.fixture
def authorized(database: Database, merchant_id: uuid.UUID) -> uuid.UUID:
    return authorized_payment(database, merchant_id)


def code_of(answer: Answer) -> tuple[int, str]:
    """Return the status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.body
    return answer.status, answer.json()["code"]


class TestCapture:
    @pytest.mark.parametrize("members", [None, {}, {"amount": None}, {"amount": "100.00"}])
    def test_answers_202_with_the_pending_operation(
        self, client: ApiClient, authorized: uuid.UUID, members: Any
    ) -> None:
        answer = client.order(f"{authorized}/capture", members)
        assert answer.status == 202
        assert answer.headers["location"] == f"/api/v1/payments/{authorized}"
        assert answer.json()["pending_operation"]["amount"] == "100.00"
        assert answer.json() == client.get(answer.headers["location"]).json()

    def test_a_part_is_enough(self, client: ApiClient, authorized: uuid.UUID) -> None:
        payment = client.order(f"{authorized}/capture", {"amount": "80.00"}).json()
        assert (payment["pending_operation"]["type"], payment["pending_operation"]["amount"]) == ("capture", "80.00")

    def test_more_than_authorized_is_refused_with_what_may_be(self, client: ApiClient, authorized: uuid.UUID) -> None:
        answer = client.order(f"{authorized}/capture", {"amount": "100.01"})
        assert code_of(answer) == (422, "amount_exceeds_capturable")
        assert answer.json()["capturable"] == "100.00"
        assert [error["field"] for error in answer.json()["errors"]] == ["amount"]

    def test_a_second_one_is_in_progress(self, client: ApiClient, authorized: uuid.UUID) -> None:
        client.order(f"{authorized}/capture")
        assert code_of(client.order(f"{authorized}/capture")) == (409, "operation_in_progress")
        assert code_of(client.order(f"{authorized}/cancel")) == (409, "operation_in_progress")

    def test_of_an_automatic_payment_is_refused(
        self, client: ApiClient, database: Database, merchant_id: uuid.UUID
    ) -> None:
        payment_id = captured_payment(database, merchant_id)
        assert code_of(client.order(f"{payment_id}/capture")) == (409, "payment_not_capturable")

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"amount": "1"}, "amount_places"),
            ({"amount": 1}, "amount_not_a_string"),
            ({"amount": "0.00"}, "amount_not_positive"),
            ({"amounts": "1.00"}, "unknown_member"),
        ],
    )
    def test_an_invalid_body_is_refused(
        self, client: ApiClient, authorized: uuid.UUID, members: Any, code: str
    ) -> None:
        answer = client.order(f"{authorized}/capture", members)
        assert answer.status == 422
        assert [error["code"] for error in answer.json()["errors"]] == [code]


class TestCancel:
    @pytest.mark.parametrize("members", [None, {}, {"reason": "Changed"}])
    def test_of_a_pending_payment_is_immediate(
        self, client: ApiClient, database: Database, merchant_id: uuid.UUID, members: Any
    ) -> None:
        payment_id = new_payment(database, merchant_id)
        answer = client.order(f"{payment_id}/cancel", members)
        assert (answer.status, answer.json()["status"]) == (202, "canceled")
        assert answer.json() == client.get(answer.headers["location"]).json()

    def test_of_what_is_held_waits_for_the_gateway(self, client: ApiClient, authorized: uuid.UUID) -> None:
        payment = client.order(f"{authorized}/cancel").json()
        assert (payment["status"], payment["pending_operation"]["type"]) == ("requires_capture", "cancel")

    def test_of_a_charge_under_way_is_refused(
        self, client: ApiClient, database: Database, merchant_id: uuid.UUID
    ) -> None:
        payment_id = new_payment(database, merchant_id)
        database.run(_PROCESSING, id=payment_id)
        assert code_of(client.order(f"{payment_id}/cancel")) == (409, "operation_in_progress")

    def test_of_a_payment_that_has_ended_is_refused(
        self, client: ApiClient, database: Database, merchant_id: uuid.UUID
    ) -> None:
        payment_id = captured_payment(database, merchant_id)
        assert code_of(client.order(f"{payment_id}/cancel")) == (409, "payment_not_cancelable")


@pytest.mark.parametrize("command", ["capture", "cancel"])
class TestBoth:
    def test_the_key_is_required(self, client: ApiClient, authorized: uuid.UUID, command: str) -> None:
        answer = client.order(f"{authorized}/{command}", headers={"idempotency-key": ""})
        assert code_of(answer) == (400, "idempotency_key_missing")

    def test_the_same_request_is_replayed_however_it_is_written(
        self, client: ApiClient, database: Database, authorized: uuid.UUID, command: str
    ) -> None:
        first = client.order(f"{authorized}/{command}", key="k")
        version = payment_row(database, authorized)["version"]
        for body in (None, b"{}", b" { } "):
            again = client.order(f"{authorized}/{command}", body, key="k")
            assert (again.status, again.body) == (202, first.body)
            assert again.headers["idempotency-replayed"] == "true"
            assert again.headers["location"] == first.headers["location"]
        assert payment_row(database, authorized)["version"] == version

    def test_another_request_with_the_key_names_the_payment(
        self, client: ApiClient, authorized: uuid.UUID, command: str
    ) -> None:
        other = {"capture": {"amount": "1.00"}, "cancel": {"reason": "other"}}[command]
        client.order(f"{authorized}/{command}", key="k")
        answer = client.order(f"{authorized}/{command}", other, key="k")
        assert code_of(answer) == (422, "idempotency_key_reused")
        assert answer.json()["payment_id"] == str(authorized)
        assert answer.headers["location"] == f"/api/v1/payments/{authorized}"

    @pytest.mark.parametrize("id_", ["not-an-id", "019acd00-0000-7000-8000-000000000000"])
    def test_an_unknown_payment_is_a_404(self, client: ApiClient, command: str, id_: str) -> None:
        assert code_of(client.order(f"{id_}/{command}")) == (404, "payment_not_found")

    def test_another_merchant_finds_nothing(self, client: ApiClient, authorized: uuid.UUID, command: str) -> None:
        answer = client.order(f"{authorized}/{command}", api_key=OTHER_KEY)
        assert code_of(answer) == (404, "payment_not_found")

    @pytest.mark.parametrize(
        ("body", "headers", "status", "code"),
        [
            (b"{", {}, 400, "json_invalid"),
            (b"[]", {}, 422, "json_not_an_object"),
            (b"x" * 300_000, {}, 413, "body_too_large"),
            (b"{}", {"content-type": "text/plain"}, 415, "content_type_unsupported"),
        ],
    )
    def test_an_unreadable_body_is_refused(
        self,
        client: ApiClient,
        authorized: uuid.UUID,
        command: str,
        body: bytes,
        headers: dict[str, str],
        status: int,
        code: str,
    ) -> None:
        answer = client.order(f"{authorized}/{command}", body, headers=headers)
        assert code_of(answer) == (status, code)
