"""Order, read, list and settle payouts through the API function."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.testkit.api import MERCHANT_KEY, OPERATOR_KEY, OTHER_KEY, Answer, ApiClient, demo_merchant_id
from local.testkit.ledger import MoneyEvents
from local.testkit.locks import held
from paybridge.core.events import parse_envelope
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.ledger.post import post_events

pytestmark = pytest.mark.integration

PAYOUTS = "/api/v1/payouts"
_EVENTS = Statement("SELECT body FROM outbox WHERE subject_id = :id::uuid AND sequence IS NOT NULL ORDER BY sequence")


@pytest.fixture
def currency(database: Database) -> str:
    """A currency in which the demo merchant has exactly 100.00 available: each test has one that no other uses."""
    code = next(_CURRENCIES)
    post_events(database, [MoneyEvents(demo_merchant_id(database), code).succeeded("100.00")])
    return code


_CURRENCIES = iter(
    [
        "AED",
        "AFN",
        "ALL",
        "AMD",
        "AOA",
        "ARS",
        "AUD",
        "AWG",
        "AZN",
        "BAM",
        "BBD",
        "BDT",
        "BMD",
        "BND",
        "BOB",
        "BRL",
        "BSD",
        "BTN",
        "BWP",
        "BYN",
        "BZD",
        "CAD",
    ]
)


def ordered(client: ApiClient, members: Any, *, key: str | None = None, **options: Any) -> Answer:
    raw = members if isinstance(members, bytes) else json.dumps(members).encode()
    return client.request("POST", PAYOUTS, body=raw, headers={"idempotency-key": key or str(uuid.uuid4())}, **options)


def settled(client: ApiClient, payout_id: str, body: Any, api_key: str = OPERATOR_KEY) -> Answer:
    path = f"/api/v1/ops/payouts/{payout_id}/settle"
    return client.request("POST", path, body=json.dumps(body).encode(), api_key=api_key)


def balance(client: ApiClient, currency: str) -> dict[str, str]:
    data = client.get("/api/v1/balances").json()["data"]
    return next((each for each in data if each["currency"] == currency), {})


class TestCreate:
    def test_answers_202_and_reserves_the_amount(self, client: ApiClient, currency: str) -> None:
        answer = ordered(client, {"amount": "30.00", "currency": currency})
        view = answer.json()
        assert answer.status == 202
        assert answer.headers["location"] == f"{PAYOUTS}/{view['payout_id']}"
        assert (view["status"], view["amount"], view["failure_reason"]) == ("pending", "30.00", None)
        assert client.get(answer.headers["location"]).json() == view
        assert balance(client, currency) == {
            "currency": currency,
            "pending": "0.00",
            "available": "70.00",
            "reserved": "30.00",
        }

    def test_more_than_is_available_names_what_is(self, client: ApiClient, currency: str) -> None:
        answer = ordered(client, {"amount": "100.01", "currency": currency})
        problem = answer.json()
        assert (answer.status, problem["code"], problem["available"]) == (422, "insufficient_balance", "100.00")
        assert [(error["field"], error["code"]) for error in problem["errors"]] == [("amount", "insufficient_balance")]

    def test_a_debt_is_shown_with_its_sign(self, client: ApiClient, database: Database) -> None:
        money = MoneyEvents(demo_merchant_id(database), "JPY")
        post_events(database, [money.succeeded("100"), money.refunded("250")])
        assert ordered(client, {"amount": "1", "currency": "JPY"}).json()["available"] == "-150"

    @pytest.mark.parametrize(
        ("members", "code"),
        [
            ({"amount": "1", "currency": "EUR"}, "amount_places"),
            ({"amount": "0.00", "currency": "EUR"}, "amount_not_positive"),
            ({"amount": "1e3", "currency": "EUR"}, "amount_malformed"),
            ({"amount": "9" * 20, "currency": "EUR"}, "amount_too_large"),
            ({"amount": "1.00", "currency": "XAU"}, "currency_unsupported"),
            ({"amount": 1.5, "currency": "EUR"}, "amount_not_a_string"),
            ({"currency": "EUR"}, "required"),
            ({"amount": "1.00"}, "required"),
            ({"amount": "1.00", "currency": "EUR", "iban": "x"}, "unknown_member"),
        ],
    )
    def test_names_the_rule_that_is_broken(self, client: ApiClient, members: Any, code: str) -> None:
        answer = ordered(client, members)
        assert (answer.status, [error["code"] for error in answer.json()["errors"]]) == (422, [code])

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"[]", 422, "json_not_an_object"),
            (b"", 400, "json_invalid"),
            (b'{"amount": NaN}', 400, "json_invalid"),
            (b'{"amount": "1.00", "amount": "2.00"}', 400, "json_duplicate_key"),
        ],
    )
    def test_refuses_what_it_cannot_read(self, client: ApiClient, body: bytes, status: int, code: str) -> None:
        answer = ordered(client, body)
        assert (answer.status, answer.json()["code"]) == (status, code)

    def test_needs_a_key(self, client: ApiClient) -> None:
        answer = client.request("POST", PAYOUTS, body=b'{"amount": "1.00", "currency": "EUR"}')
        assert (answer.status, answer.json()["code"]) == (400, "idempotency_key_missing")

    def test_is_unavailable_and_not_insufficient_while_the_account_is_locked(
        self, client: ApiClient, database_address: DatabaseAddress, monkeypatch: pytest.MonkeyPatch, currency: str
    ) -> None:
        monkeypatch.setattr("paybridge.ledger.create_payout.TRIES_MAX", 1)
        lock = "SELECT id FROM ledger.accounts WHERE currency = :currency::char(3) FOR UPDATE"
        with held(database_address, lock, currency=currency):
            answer = ordered(client, {"amount": "30.00", "currency": currency}, key="locked")
        assert (answer.status, answer.json()["code"]) == (503, "service_unavailable")
        assert "retry-after" in answer.headers
        assert ordered(client, {"amount": "30.00", "currency": currency}, key="locked").status == 202


class TestKeys:
    def test_the_same_request_is_replayed(self, client: ApiClient, currency: str) -> None:
        first = ordered(client, {"amount": "60.00", "currency": currency}, key=f"k-{currency}")
        body = f'{{"currency":"{currency}", "amount":"60.00"}}'.encode()
        again = ordered(client, body, key=f"k-{currency}")
        assert (again.status, again.body, again.headers["idempotency-replayed"]) == (202, first.body, "true")
        assert "idempotency-replayed" not in first.headers

    def test_another_request_under_the_key_is_refused(self, client: ApiClient, currency: str) -> None:
        first = ordered(client, {"amount": "60.00", "currency": currency}, key=f"k-{currency}")
        other = ordered(client, {"amount": "61.00", "currency": currency}, key=f"k-{currency}")
        assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")
        assert other.json()["payout_id"] == first.json()["payout_id"]
        assert other.headers["location"] == first.headers["location"]


class TestLists:
    def test_pages_are_newest_first_and_filtered(self, client: ApiClient, currency: str) -> None:
        made = [ordered(client, {"amount": "1.00", "currency": currency}).json()["payout_id"] for _ in range(3)]
        settled(client, made[1], {"outcome": "paid"})
        first = client.get(PAYOUTS, query={"currency": currency, "limit": "2"}).json()
        rest = client.get(PAYOUTS, query={"currency": currency, "limit": "2", "cursor": first["next_cursor"]}).json()
        assert [each["payout_id"] for each in first["data"] + rest["data"]] == made[::-1]
        assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
        paid = client.get(PAYOUTS, query={"currency": currency, "status": "paid"}).json()["data"]
        assert [each["payout_id"] for each in paid] == [made[1]]
        later = client.get(PAYOUTS, query={"currency": currency, "created_from": "2999-01-01T00:00:00Z"}).json()
        assert later["data"] == []

    def test_a_cursor_of_another_list_is_refused(self, client: ApiClient, currency: str) -> None:
        for _ in range(2):
            ordered(client, {"amount": "1.00", "currency": currency})
        cursor = client.get(PAYOUTS, query={"currency": currency, "limit": "1"}).json()["next_cursor"]
        answer = client.get(PAYOUTS, query={"cursor": cursor})
        assert (answer.status, answer.json()["code"]) == (422, "cursor_invalid")

    def test_staff_sees_those_of_every_merchant_and_another_merchant_none(
        self, client: ApiClient, currency: str
    ) -> None:
        payout_id = ordered(client, {"amount": "1.00", "currency": currency}).json()["payout_id"]
        for api_key, seen in ((MERCHANT_KEY, True), (OPERATOR_KEY, True), (OTHER_KEY, False)):
            data = client.get(PAYOUTS, query={"currency": currency}, api_key=api_key).json()["data"]
            assert (payout_id in [each["payout_id"] for each in data]) == seen
            assert client.get(f"{PAYOUTS}/{payout_id}", api_key=api_key).status == (200 if seen else 404)

    @pytest.mark.parametrize("id_", ["0", str(uuid.UUID(int=7)), "{}"])
    def test_no_other_id_is_found(self, client: ApiClient, id_: str) -> None:
        answer = client.get(f"{PAYOUTS}/{id_}")
        assert (answer.status, answer.json()["code"]) == (404, "payout_not_found")


class TestSettle:
    @pytest.mark.parametrize(("outcome", "available"), [("paid", "70.00"), ("failed", "100.00")])
    def test_the_ledger_follows_by_the_event(
        self, client: ApiClient, database: Database, currency: str, outcome: str, available: str
    ) -> None:
        payout_id = ordered(client, {"amount": "30.00", "currency": currency}).json()["payout_id"]
        answer = settled(client, payout_id, {"outcome": outcome, "reason": "account closed"})
        assert (answer.status, answer.json()["status"]) == (200, outcome)
        assert answer.json()["failure_reason"] == ("account closed" if outcome == "failed" else None)
        events = [parse_envelope(json.loads(body)) for (body,) in database.run(_EVENTS, id=payout_id)]
        assert [event.type for event in events] == ["payout.created", f"payout.{outcome}"]
        assert post_events(database, events).posted == 1
        assert (balance(client, currency)["available"], balance(client, currency)["reserved"]) == (available, "0.00")

    def test_again_changes_nothing_and_the_other_way_is_refused(
        self, client: ApiClient, database: Database, currency: str
    ) -> None:
        payout_id = ordered(client, {"amount": "30.00", "currency": currency}).json()["payout_id"]
        first = settled(client, payout_id, {"outcome": "paid"})
        assert settled(client, payout_id, {"outcome": "paid"}).body == first.body
        other = settled(client, payout_id, {"outcome": "failed"})
        assert (other.status, other.json()["code"], other.json()["payout_status"]) == (409, "payout_settled", "paid")
        assert len(database.run(_EVENTS, id=payout_id)) == 2

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "required"),
            ({"outcome": "lost"}, "not_an_option"),
            ({"outcome": "failed", "reason": ""}, "text_too_short"),
            ({"outcome": "failed", "reason": "x" * 501}, "text_too_long"),
            ({"outcome": "paid", "note": "x"}, "unknown_member"),
        ],
    )
    def test_names_the_invalid_member(self, client: ApiClient, currency: str, body: Any, code: str) -> None:
        payout_id = ordered(client, {"amount": "30.00", "currency": currency}).json()["payout_id"]
        answer = settled(client, payout_id, body)
        assert (answer.status, [error["code"] for error in answer.json()["errors"]]) == (422, [code])

    def test_what_is_unknown_is_not_found(self, client: ApiClient) -> None:
        answer = settled(client, str(uuid.UUID(int=7)), {"outcome": "paid"})
        assert (answer.status, answer.json()["code"]) == (404, "payout_not_found")

    def test_a_merchant_may_not(self, client: ApiClient, currency: str) -> None:
        payout_id = ordered(client, {"amount": "30.00", "currency": currency}).json()["payout_id"]
        assert settled(client, payout_id, {"outcome": "paid"}, api_key=MERCHANT_KEY).status == 403
