"""Merchants over HTTP, as an administrator manages them."""

from __future__ import annotations

import json
import threading
import uuid
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, Answer, ApiClient
from paybridge.access.change_merchant import change_merchant
from paybridge.access.domain.fees import FeeRule
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.find_fees import find_fees
from paybridge.access.read_merchants import read_merchant
from paybridge.access.register import register_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.standard_webhooks import parse_secret
from paybridge.core.times import format_time
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/merchants"
ADMIN_KEY = "secret-admin-key"
EVERYTHING = {
    "name": "Acme",
    "email": "pay@acme.example",
    "phone": "+4930123456",
    "notify": ["payment.failed", "refund.*"],
    "fees": {"percent": "2.9", "fixed": {"EUR": "0.30"}},
    "rate_limit": {"per_second": 50, "burst": 100},
    "gateway": "default",
}


@pytest.fixture(autouse=True)
def _admin(database: Database) -> None:
    register_merchant(database, name="Admin", api_key=ADMIN_KEY, role="admin")


def send(client: ApiClient, method: str, path: str = "", body: Any = None, **options: Any) -> Answer:
    raw = None if body is None else json.dumps(body).encode()
    return client.request(method, PATH + path, body=raw, **{"api_key": ADMIN_KEY, **options})


def created(client: ApiClient, **members: Any) -> Any:
    answer = send(client, "POST", body={"name": "Acme", **members})
    assert answer.status == 201, answer.body
    return answer.json()


class TestCreate:
    def test_a_merchant_has_what_was_sent_and_a_secret_that_is_shown_once(self, client: ApiClient) -> None:
        answer = send(client, "POST", body=EVERYTHING)
        merchant = answer.json()
        assert answer.status == 201
        assert answer.headers["location"] == f"{PATH}/{merchant['merchant_id']}"
        assert EVERYTHING.items() <= merchant.items()
        assert len(parse_secret(merchant.pop("webhook_secret"))) == 32
        assert send(client, "GET", f"/{merchant['merchant_id']}").json() == merchant

    def test_a_merchant_with_a_key_takes_payments(self, client: ApiClient) -> None:
        merchant_id = created(client)["merchant_id"]
        body = json.dumps({"merchant_id": merchant_id}).encode()
        key = client.request("POST", "/api/v1/ops/api-keys", body=body, api_key=ADMIN_KEY).json()["api_key"]
        assert client.create(api_key=key).status == 202

    @pytest.mark.parametrize(
        ("members", "field", "code"),
        [
            ({"name": None}, "name", "not_a_string"),
            ({"name": " "}, "name", "text_too_short"),
            ({"email": "nobody"}, "email", "text_malformed"),
            ({"email": "a@b.example, c@d.example"}, "email", "text_malformed"),
            ({"email": "a@b.example\nBcc: c@d.example"}, "email", "text_malformed"),
            ({"email": "Acme <a@b.example>"}, "email", "text_malformed"),
            ({"email": "x" * 250 + "@b.example"}, "email", "text_too_long"),
            ({"phone": "030 123456"}, "phone", "text_malformed"),
            ({"phone": "+0123456789"}, "phone", "text_malformed"),
            ({"notify": "payment.failed"}, "notify", "not_a_list"),
            ({"notify": ["payment.exploded"]}, "notify.?", "event_pattern_unknown"),
            ({"notify": ["payment.processing"]}, "notify.?", "event_not_notified"),
            ({"notify": ["*"] * 21}, "notify", "too_many_members"),
            ({"fees": {"percent": "101"}}, "fees.percent", "text_malformed"),
            ({"fees": {"percent": 2.9}}, "fees.percent", "not_a_string"),
            ({"fees": {"fixed": {"XYZ": "0.30"}}}, "fees.fixed", "currency_unsupported"),
            ({"rate_limit": {"per_second": 10}}, "rate_limit.burst", "required"),
            ({"rate_limit": {"per_second": 10, "burst": 0}}, "rate_limit.burst", "number_out_of_range"),
            ({"gateway": "nowhere"}, "gateway", "gateway_unknown"),
            ({"colour": "red"}, "colour", "unknown_member"),
        ],
    )
    def test_faults_are_named(self, client: ApiClient, members: Any, field: str, code: str) -> None:
        answer = send(client, "POST", body={"name": "Acme", **members})
        assert answer.status == 422, answer.body
        assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]

    def test_an_operator_reads_and_does_not_create(self, client: ApiClient) -> None:
        assert send(client, "POST", body=EVERYTHING, api_key=OPERATOR_KEY).status == 403
        assert send(client, "GET", api_key=OPERATOR_KEY).status == 200


class TestList:
    def test_newest_first_in_pages(self, client: ApiClient) -> None:
        made = [created(client)["merchant_id"] for _ in range(3)]
        first = send(client, "GET", body=None, query={"limit": 2}).json()
        second = send(client, "GET", query={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [merchant["merchant_id"] for merchant in first["data"] + second["data"]][:3] == made[::-1]


class TestRead:
    @pytest.mark.parametrize("merchant_id", ["42", str(uuid.UUID(int=1))])
    def test_an_unknown_one_is_not_found(self, client: ApiClient, merchant_id: str) -> None:
        for method, body in (("GET", None), ("PATCH", {})):
            answer = send(client, method, f"/{merchant_id}", body)
            assert (answer.status, answer.json()["code"]) == (404, "merchant_not_found")


class TestChange:
    def test_only_the_named_members_change(self, client: ApiClient) -> None:
        before = created(client, **{name: value for name, value in EVERYTHING.items() if name != "name"})
        after = send(client, "PATCH", f"/{before['merchant_id']}", {"phone": None, "notify": ["*"]}).json()
        changed = {name for name in after if after[name] != before[name]}
        assert changed == {"phone", "notify", "updated_at"}
        assert (after["phone"], after["notify"]) == (None, ["*"])

    @pytest.mark.parametrize("member", ["email", "phone", "fees", "rate_limit"])
    def test_null_removes_what_may_be_absent(self, client: ApiClient, member: str) -> None:
        merchant = created(client, **{member: EVERYTHING[member]})
        assert send(client, "PATCH", f"/{merchant['merchant_id']}", {member: None}).json()[member] is None

    def test_other_fees_count_a_minute_later_and_the_history_keeps_the_former_ones(
        self, client: ApiClient, database: Database
    ) -> None:
        before = created(client, fees=EVERYTHING["fees"])
        assert before["fees_valid_from"] == before["created_at"]
        path = f"/{before['merchant_id']}"
        assert (
            send(client, "PATCH", path, {"fees": EVERYTHING["fees"]}).json()["fees_valid_from"] == before["created_at"]
        )
        first = send(client, "PATCH", path, {"fees": {"percent": "1"}}).json()
        notice = datetime.fromisoformat(first["fees_valid_from"]) - datetime.fromisoformat(first["updated_at"])
        assert notice == timedelta(seconds=60)
        second = send(client, "PATCH", path, {"fees": None}).json()
        with database.transaction() as transaction:
            (history,) = find_fees(transaction, [uuid.UUID(before["merchant_id"])]).values()
        assert [format_time(each.valid_from) for each in history] == [
            each["fees_valid_from"] for each in (before, first, second)
        ]
        assert [each.rule for each in history] == [FeeRule("2.9", {"EUR": "0.30"}), FeeRule("1"), None]

    def test_a_name_cannot_be_removed(self, client: ApiClient) -> None:
        merchant = created(client)
        answer = send(client, "PATCH", f"/{merchant['merchant_id']}", {"name": None})
        assert [error["code"] for error in answer.json()["errors"]] == ["required"]

    def test_changes_at_once_do_not_undo_each_other(
        self, client: ApiClient, database: Database, database_address: DatabaseAddress
    ) -> None:
        merchant_id = uuid.UUID(created(client)["merchant_id"])
        changes: list[dict[str, Any]] = [
            {"email": "a@b.example"},
            {"phone": "+4930123456"},
            {"notify": ("*",)},
            {"rate_limit": RateLimit(5, 10)},
        ]

        def change(members: dict[str, Any]) -> None:
            with closing(Database(database_address)) as connection:
                change_merchant(connection, SystemClock(), merchant_id, members)

        threads = [threading.Thread(target=change, args=(members,)) for members in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        merchant = read_merchant(database, merchant_id)
        assert merchant is not None
        for members in changes:
            for name, value in members.items():
                assert getattr(merchant.details, name) == value
