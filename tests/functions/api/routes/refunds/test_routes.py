"""Create, read and list refunds through the API function."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import closing
from typing import Any

import pytest

from local.testkit.api import OTHER_KEY, Answer, ApiClient, demo_merchant_id
from local.testkit.payments import captured_payment, new_payment, payment_row
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

REFUNDS = "/api/v1/refunds"

_SETTLE = Statement("""
    UPDATE operations SET status = 'succeeded', number = 1, started_at = now(), gateway_id = 're_1' WHERE id = :id::uuid
""")
_DECLINE = Statement("""
    UPDATE operations SET status = 'declined', number = 1, started_at = now(), failure_code = 'refund_declined'
    WHERE id = :id::uuid
""")
_SET_CAUSE = Statement("UPDATE operations SET cause = :cause::text WHERE id = :id::uuid")
_WAITING = Statement("SELECT slot FROM api_waits WHERE ends_at > now()")


@pytest.fixture
def payment(database: Database) -> uuid.UUID:
    """A captured payment of 100.00 EUR of the demo merchant."""
    return captured_payment(database, demo_merchant_id(database))


def refund(client: ApiClient, payment_id: uuid.UUID, members: Any = None, **options: Any) -> Answer:
    return client.order(f"{payment_id}/refunds", members, **options)


def code_of(answer: Answer) -> tuple[int, str]:
    """Return the status and code of a problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.body
    return answer.status, answer.json()["code"]


class TestCreate:
    def test_answers_202_with_the_pending_refund(self, client: ApiClient, payment: uuid.UUID) -> None:
        order = {"amount": "30.00", "reason": "Damaged – повреждён", "metadata": {"b": "2", "a": "1"}}
        answer = refund(client, payment, order)
        view = answer.json()
        assert answer.status == 202
        assert answer.headers["location"] == f"{REFUNDS}/{view['refund_id']}"
        assert (view["payment_id"], view["status"], view["currency"]) == (str(payment), "pending", "EUR")
        assert {name: view[name] for name in order} == order
        assert list(view["metadata"]) == ["b", "a"]
        assert client.get(answer.headers["location"]).json() == view

    @pytest.mark.parametrize("members", [None, {}, {"amount": None}])
    def test_without_an_amount_refunds_what_is_left(self, client: ApiClient, payment: uuid.UUID, members: Any) -> None:
        refund(client, payment, {"amount": "30.00"})
        assert refund(client, payment, members).json()["amount"] == "70.00"

    def test_above_what_is_left_names_what_is(self, client: ApiClient, payment: uuid.UUID) -> None:
        refund(client, payment, {"amount": "60.00"})
        answer = refund(client, payment, {"amount": "60.00"})
        assert code_of(answer) == (422, "amount_exceeds_refundable")
        assert answer.json()["refundable"] == "40.00"
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [
            ("amount", "amount_exceeds_refundable")
        ]

    def test_of_a_payment_without_money_is_refused(self, client: ApiClient, database: Database) -> None:
        payment_id = new_payment(database, demo_merchant_id(database))
        assert code_of(refund(client, payment_id)) == (409, "payment_not_refundable")

    def test_of_all_that_is_being_refunded_is_refused(self, client: ApiClient, payment: uuid.UUID) -> None:
        refund(client, payment)
        assert code_of(refund(client, payment)) == (409, "payment_not_refundable")
        answer = refund(client, payment, {"amount": "0.01"})
        assert (*code_of(answer), answer.json()["refundable"]) == (422, "amount_exceeds_refundable", "0.00")

    @pytest.mark.parametrize(
        ("members", "field", "code"),
        [
            ({"amount": "30"}, "amount", "amount_places"),
            ({"amount": 30}, "amount", "amount_not_a_string"),
            ({"amount": "0.00"}, "amount", "amount_not_positive"),
            ({"amount": "1e3"}, "amount", "amount_malformed"),
            ({"amount": "9" * 20}, "amount", "amount_too_large"),
            ({"reason": ""}, "reason", "text_too_short"),
            ({"reason": "x" * 501}, "reason", "text_too_long"),
            ({"metadata": {"k": 1}}, "metadata.k", "not_a_string"),
            ({"currency": "EUR"}, "currency", "unknown_member"),
        ],
    )
    def test_names_the_invalid_member(
        self, client: ApiClient, payment: uuid.UUID, members: Any, field: str, code: str
    ) -> None:
        answer = refund(client, payment, members)
        assert answer.status == 422
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]


class TestIdempotency:
    def test_the_same_request_is_replayed_whatever_its_bytes(
        self, client: ApiClient, database: Database, payment: uuid.UUID
    ) -> None:
        body = b'{"amount":"30.00","reason":"x","metadata":{"a":"1","b":"2"}}'
        first = refund(client, payment, body, key="k")
        for again in (
            body,
            b' {"metadata": {"b": "2", "\\u0061": "1"}, "reason": "x", "amount": "30.00"}',
        ):
            answer = refund(client, payment, again, key='"k"')
            assert (answer.status, answer.body) == (202, first.body)
            assert answer.headers["idempotency-replayed"] == "true"
        assert payment_row(database, payment)["refunding_minor"] == 3_000

    @pytest.mark.parametrize(
        "change", [{"amount": "30.01"}, {"amount": None}, {"reason": "y"}, {"metadata": {}}, {"metadata": None}]
    )
    def test_another_request_is_refused_and_names_the_refund(
        self, client: ApiClient, payment: uuid.UUID, change: dict[str, Any]
    ) -> None:
        order = {"amount": "30.00", "reason": "x", "metadata": {"a": "1"}}
        first = refund(client, payment, order, key="k")
        answer = refund(client, payment, {**order, **change}, key="k")
        assert code_of(answer) == (422, "idempotency_key_reused")
        assert answer.json()["refund_id"] == first.json()["refund_id"]
        assert answer.headers["location"] == first.headers["location"]

    def test_an_accepted_request_is_repeated_although_a_rule_has_become_stricter(
        self, client: ApiClient, payment: uuid.UUID, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = refund(client, payment, {"reason": "x"}, key="stricter")

        def refuse(*_: Any) -> tuple[None, list[Any]]:
            return None, []

        monkeypatch.setattr("api.commands.validate", refuse)
        assert refund(client, payment, {"reason": "x"}, key="stricter").body == first.body
        assert code_of(refund(client, payment, {"reason": "y"}, key="stricter")) == (422, "validation_failed")

    def test_the_key_is_required(self, client: ApiClient, payment: uuid.UUID) -> None:
        answer = refund(client, payment, headers={"idempotency-key": ""})
        assert code_of(answer) == (400, "idempotency_key_missing")


class TestRead:
    def test_shows_the_status_of_the_operation(self, client: ApiClient, database: Database, payment: uuid.UUID) -> None:
        path = refund(client, payment).headers["location"]
        database.run(_DECLINE, id=path.rpartition("/")[2])
        view = client.get(path).json()
        assert (view["status"], view["failure_code"]) == ("failed", "refund_declined")

    @pytest.mark.parametrize("id_", ["not-an-id", "019acd00-0000-7000-8000-000000000000", "{}"])
    def test_an_unknown_id_is_a_404(self, client: ApiClient, id_: str) -> None:
        assert code_of(client.get(f"{REFUNDS}/{id_}")) == (404, "refund_not_found")

    def test_a_payment_is_no_refund(self, client: ApiClient, payment: uuid.UUID) -> None:
        assert client.get(f"{REFUNDS}/{payment}").status == 404

    def test_what_was_given_back_for_us_is_not_shown(
        self, client: ApiClient, database: Database, payment: uuid.UUID
    ) -> None:
        path = refund(client, payment).headers["location"]
        database.run(_SET_CAUSE, id=path.rpartition("/")[2], cause="charged_late")
        assert client.get(path).status == 404
        assert client.get(f"/api/v1/payments/{payment}/refunds").json()["data"] == []
        assert client.get(REFUNDS, query={"payment_id": str(payment)}).json()["data"] == []
        database.run(_SET_CAUSE, id=path.rpartition("/")[2], cause="gateway")
        assert client.get(path).status == 200

    def test_prefer_wait_ends_when_the_refund_settles(
        self, client: ApiClient, database_address: DatabaseAddress, payment: uuid.UUID
    ) -> None:
        path = refund(client, payment).headers["location"]

        def settle() -> None:
            with closing(Database(database_address)) as connection:
                while not connection.run(_WAITING):
                    time.sleep(0.01)
                connection.run(_SETTLE, id=path.rpartition("/")[2])

        thread = threading.Thread(target=settle)
        thread.start()
        started_at = time.perf_counter()
        answer = client.get(path, headers={"prefer": "wait=20"})
        thread.join()
        assert (answer.json()["status"], answer.headers["preference-applied"]) == ("succeeded", "wait=20")
        assert time.perf_counter() - started_at < 15

    def test_prefer_wait_ends_after_its_seconds(self, client: ApiClient, payment: uuid.UUID) -> None:
        path = refund(client, payment).headers["location"]
        assert client.get(path, headers={"prefer": "wait=1"}).json()["status"] == "pending"


class TestLists:
    def test_of_a_payment_shows_its_refunds_newest_first_in_pages(
        self, client: ApiClient, database: Database, payment: uuid.UUID
    ) -> None:
        made = [refund(client, payment, {"amount": f"{n}.00"}).json() for n in (1, 2, 3)]
        refund(client, captured_payment(database, demo_merchant_id(database)))
        path = f"/api/v1/payments/{payment}/refunds"
        assert client.get(path).json() == {"data": made[::-1], "has_more": False, "next_cursor": None}
        first = client.get(path, query={"limit": 2}).json()
        assert (first["data"], first["has_more"]) == (made[:0:-1], True)
        rest = client.get(path, query={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert (rest["data"], rest["has_more"], rest["next_cursor"]) == (made[:1], False, None)

    def test_of_a_payment_without_refunds_is_empty(self, client: ApiClient, payment: uuid.UUID) -> None:
        assert client.get(f"/api/v1/payments/{payment}/refunds").json()["data"] == []
        unknown = client.get("/api/v1/payments/019acd00-0000-7000-8000-000000000000/refunds")
        assert code_of(unknown) == (404, "payment_not_found")

    def test_filters_by_payment_status_and_time(
        self, client: ApiClient, database: Database, payment: uuid.UUID
    ) -> None:
        first, second, third = (refund(client, payment, {"amount": "10.00"}).json() for _ in range(3))
        database.run(_SETTLE, id=first["refund_id"])
        database.run(_DECLINE, id=second["refund_id"])

        def ids(**query: str) -> list[str]:
            page = client.get(REFUNDS, query={"payment_id": str(payment), **query}).json()
            return [one["refund_id"] for one in page["data"]]

        assert ids() == [third["refund_id"], second["refund_id"], first["refund_id"]]
        assert ids(status="succeeded") == [first["refund_id"]]
        assert ids(status="failed") == [second["refund_id"]]
        assert ids(status="pending") == [third["refund_id"]]
        assert ids(status="processing") == []
        assert ids(created_from=second["created_at"]) == [third["refund_id"], second["refund_id"]]
        assert ids(created_to=second["created_at"]) == [first["refund_id"]]

    def test_of_all_payments_come_in_pages_that_do_not_shift(
        self, client: ApiClient, database: Database, payment: uuid.UUID
    ) -> None:
        one, other = refund(client, payment).json(), captured_payment(database, demo_merchant_id(database))
        made = [refund(client, other, {"amount": "1.00"}).json() for _ in range(3)]
        first = client.get(REFUNDS, query={"limit": 2, "created_from": one["created_at"]}).json()
        assert first["data"] == made[:0:-1]
        refund(client, other, {"amount": "1.00"})
        query = {"limit": 2, "created_from": one["created_at"], "cursor": first["next_cursor"]}
        rest = client.get(REFUNDS, query=query).json()
        assert (rest["data"], rest["has_more"]) == ([made[0], one], False)

    @pytest.mark.parametrize(
        "query",
        [{"status": "paid"}, {"payment_id": "x"}, {"limit": "0"}, {"created_to": "x"}, {"cursor": "x"}, {"x": "y"}],
    )
    def test_an_invalid_parameter_is_a_422(self, client: ApiClient, query: dict[str, str]) -> None:
        answer = client.get(REFUNDS, query=query)
        assert answer.status == 422
        assert [error["field"] for error in answer.json()["errors"]] == list(query)

    def test_an_invalid_payment_id_says_what_to_send(self, client: ApiClient) -> None:
        [error] = client.get(REFUNDS, query={"payment_id": "x"}).json()["errors"]
        assert error["detail"] == "Send the payment_id of a payment, a UUID."

    def test_a_cursor_does_not_fit_another_list(self, client: ApiClient, payment: uuid.UUID) -> None:
        for _ in range(2):
            refund(client, payment, {"amount": "1.00"})
        path = f"/api/v1/payments/{payment}/refunds"
        cursor = client.get(path, query={"limit": 1}).json()["next_cursor"]
        assert code_of(client.get(REFUNDS, query={"cursor": cursor})) == (422, "cursor_invalid")


class TestIsolation:
    def test_a_refund_is_invisible_to_other_merchants(self, client: ApiClient, payment: uuid.UUID) -> None:
        path = refund(client, payment).headers["location"]
        for answer in (
            client.get(path, api_key=OTHER_KEY),
            client.get(path, headers={"prefer": "wait=1"}, api_key=OTHER_KEY),
        ):
            assert code_of(answer) == (404, "refund_not_found")
        for answer in (
            client.get(f"/api/v1/payments/{payment}/refunds", api_key=OTHER_KEY),
            refund(client, payment, api_key=OTHER_KEY),
        ):
            assert code_of(answer) == (404, "payment_not_found")
        assert client.get(REFUNDS, api_key=OTHER_KEY).json()["data"] == []
        assert client.get(REFUNDS, query={"payment_id": str(payment)}, api_key=OTHER_KEY).json()["data"] == []
