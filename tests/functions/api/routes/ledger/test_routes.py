"""Read balances, accounts and entries through the API function."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, OTHER_KEY, ApiClient, demo_merchant_id
from local.testkit.ledger import MoneyEvents
from paybridge.database.database import Database
from paybridge.ledger.post import post_events

pytestmark = pytest.mark.integration

BALANCES, ACCOUNTS, ENTRIES = "/api/v1/balances", "/api/v1/ledger/accounts", "/api/v1/ledger/entries"
LARGE = "9999999999999.99"


def post(database: Database, currency: str, *amounts: str) -> tuple[MoneyEvents, list[uuid.UUID]]:
    """Charge the demo merchant's customers in a currency that no other test uses."""
    money = MoneyEvents(demo_merchant_id(database), currency)
    payments = [uuid.uuid4() for _ in amounts]
    events = [money.succeeded(amount, id_) for amount, id_ in zip(amounts, payments, strict=True)]
    assert post_events(database, events).posted == len(amounts)
    return money, payments


def balance(client: ApiClient, currency: str, **options: Any) -> dict[str, str] | None:
    data = client.get(BALANCES, **options).json()["data"]
    return next((each for each in data if each["currency"] == currency), None)


class TestBalances:
    def test_every_digit_is_printed_far_beyond_what_a_float_holds(self, client: ApiClient, database: Database) -> None:
        post(database, "CHF", *[LARGE] * 30)
        assert balance(client, "CHF") == {
            "currency": "CHF",
            "pending": "0.00",
            "available": "299999999999999.70",
            "reserved": "0.00",
        }

    def test_three_places_stay_three(self, client: ApiClient, database: Database) -> None:
        post(database, "KWD", "0.001", "7.004")
        found = balance(client, "KWD")
        assert found is not None
        assert found["available"] == "7.005"

    def test_currencies_are_never_added_up(self, client: ApiClient, database: Database) -> None:
        post(database, "NOK", "1.00")
        post(database, "SEK", "2.00")
        found = {each["currency"]: each["available"] for each in client.get(BALANCES).json()["data"]}
        assert (found["NOK"], found["SEK"]) == ("1.00", "2.00")

    def test_of_a_moment(self, client: ApiClient, database: Database) -> None:
        money, _ = post(database, "DKK", "5.00")
        before = money.now
        money.now += timedelta(seconds=5)
        post_events(database, [money.refunded("2.00")])
        then = balance(client, "DKK", query={"as_of": before.isoformat()})
        now = balance(client, "DKK")
        assert then is not None
        assert now is not None
        assert (then["available"], now["available"]) == ("5.00", "3.00")

    def test_another_merchant_has_its_own(self, client: ApiClient, database: Database) -> None:
        post(database, "PLN", "1.00")
        assert balance(client, "PLN", api_key=OTHER_KEY) is None

    def test_staff_reads_those_of_one_merchant_or_the_sum_of_all(self, client: ApiClient, database: Database) -> None:
        post(database, "CZK", "1.00")
        post_events(database, [MoneyEvents(uuid.uuid4(), "CZK").succeeded("2.00")])
        one = balance(client, "CZK", query={"merchant_id": str(demo_merchant_id(database))}, api_key=OPERATOR_KEY)
        every = balance(client, "CZK", api_key=OPERATOR_KEY)
        assert one is not None
        assert every is not None
        assert (one["available"], every["available"]) == ("1.00", "3.00")

    def test_a_merchant_may_name_itself_alone(self, client: ApiClient, database: Database) -> None:
        named = {"merchant_id": str(demo_merchant_id(database))}
        assert client.get(BALANCES, query=named).status == 200
        for path in (BALANCES, ACCOUNTS, ENTRIES):
            assert client.get(path, query=named, api_key=OTHER_KEY).status == 403

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("as_of=yesterday", "time_invalid"),
            ("merchant_id=x", "text_malformed"),
            ("limit=1", "unknown_member"),
            ("as_of=2026-01-01T00:00:00Z&as_of=2026-01-01T00:00:00Z", "repeated"),
        ],
    )
    def test_names_the_invalid_parameter(self, client: ApiClient, query: str, code: str) -> None:
        answer = client.get(BALANCES, query=query)
        assert (answer.status, [error["code"] for error in answer.json()["errors"]]) == (422, [code])

    def test_those_of_all_have_no_past(self, client: ApiClient) -> None:
        answer = client.get(BALANCES, query={"as_of": "2026-01-01T00:00:00Z"}, api_key=OPERATOR_KEY)
        assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "merchant_id")


class TestAccounts:
    def test_a_merchant_sees_its_own_and_staff_those_of_the_house(self, client: ApiClient, database: Database) -> None:
        post(database, "TRY", "1.00")
        merchant_id = demo_merchant_id(database)
        [own] = [each for each in client.get(ACCOUNTS, query="limit=100").json()["data"] if each["currency"] == "TRY"]
        assert own == {
            "account": f"{merchant_id}/available/TRY/2",
            "merchant_id": str(merchant_id),
            "kind": "available",
            "currency": "TRY",
            "normal_side": "credit",
            "debits": "0.00",
            "credits": "1.00",
            "balance": "1.00",
        }
        seen, cursor = [], ""
        while True:
            page = client.get(ACCOUNTS, query={"limit": "2", "cursor": cursor}, api_key=OPERATOR_KEY).json()
            seen += [each["account"] for each in page["data"]]
            if not page["has_more"]:
                break
            cursor = page["next_cursor"]
        assert {"house/gateway_clearing/TRY/2", own["account"]} <= set(seen)
        assert len(seen) == len(set(seen))


class TestEntries:
    def test_of_an_account_and_of_a_payment(self, client: ApiClient, database: Database) -> None:
        money, payments = post(database, "ILS", "1.00", "2.00", "3.00")
        account = f"{demo_merchant_id(database)}/available/ILS/2"
        first = client.get(ENTRIES, query={"account": account, "limit": "2"}).json()
        rest = client.get(ENTRIES, query={"account": account, "limit": "2", "cursor": first["next_cursor"]}).json()
        shown = [(each["payment_id"], each["amount"], each["rule"]) for each in first["data"] + rest["data"]]
        assert shown == [
            (str(id_), amount, "capture") for id_, amount in zip(payments[::-1], ("3.00", "2.00", "1.00"), strict=True)
        ]
        [one] = client.get(ENTRIES, query={"payment_id": str(payments[0])}).json()["data"]
        assert (one["debit_account"], one["credit_account"]) == ("house/gateway_clearing/ILS/2", account)
        past = client.get(ENTRIES, query={"account": account, "as_of": (money.now - timedelta(days=1)).isoformat()})
        assert past.json()["data"] == []

    def test_those_of_others_are_not_shown(self, client: ApiClient, database: Database) -> None:
        _, [payment_id] = post(database, "HUF", "1.00")
        account = f"{demo_merchant_id(database)}/available/HUF/2"
        for query in ({"payment_id": str(payment_id)}, {"account": account}):
            assert client.get(ENTRIES, query=query, api_key=OTHER_KEY).json()["data"] == []
            assert len(client.get(ENTRIES, query=query, api_key=OPERATOR_KEY).json()["data"]) == 1

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("account=available", "account_malformed"),
            ("account=%00", "text_unstorable"),
            ("payment_id=x", "text_malformed"),
            ("cursor=x", "cursor_invalid"),
            ("limit=0", "limit_invalid"),
            ("page=1", "unknown_member"),
        ],
    )
    def test_names_the_invalid_parameter(self, client: ApiClient, query: str, code: str) -> None:
        answer = client.get(ENTRIES, query=query)
        assert (answer.status, [error["code"] for error in answer.json()["errors"]]) == (422, [code])
