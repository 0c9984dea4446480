"""Fraud rules over HTTP: what is accepted, what is refused and why, and dry runs."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, OTHER_KEY, Answer, ApiClient
from paybridge.fraud import dry_run

pytestmark = pytest.mark.integration

PATH = "/api/v1/fraud-rules"
LARGE = {"id": "large", "action": "block", "score": 40, "when": {"amount_gte": "100.00", "currency_in": ["RUB"]}}
FREQUENT = {
    "id": "frequent",
    "action": "review",
    "when": {"velocity": {"per": "customer", "window_seconds": 60, "count_gte": 2, "amount_gte": "0.01"}},
}
ALL = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
RANGE = {"from": "2020-01-01T00:00:00Z", "to": "2020-06-01T00:00:00Z"}


def send(client: ApiClient, method: str, path: str, members: Any, **options: Any) -> Answer:
    return client.request(method, path, body=json.dumps(members).encode(), **options)


def put(client: ApiClient, rules: Any, **options: Any) -> Answer:
    return send(client, "PUT", PATH, {"rules": rules}, **options)


def try_rules(client: ApiClient, rules: Any, begin: str, end: str, **options: Any) -> Answer:
    return send(client, "POST", f"{PATH}/dry-run", {"rules": rules, "from": begin, "to": end}, **options)


def rule(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "action": "block", "when": {}, **changes}


def when(**conditions: Any) -> list[dict[str, Any]]:
    return [rule(when=conditions)]


def velocity(**changes: Any) -> list[dict[str, Any]]:
    return when(velocity={"per": "customer", "window_seconds": 60, "count_gte": 1, **changes})


class TestRules:
    def test_none_at_first(self, client: ApiClient) -> None:
        answer = client.request("GET", PATH, api_key=OTHER_KEY)
        assert (answer.status, answer.json()) == (200, {"rules": [], "version": 0, "created_at": None})

    def test_they_come_back_as_they_were_sent_and_old_versions_stay(self, client: ApiClient) -> None:
        first = put(client, [LARGE, FREQUENT])
        second = put(client, [rule(score=None, when={"customer_in": ["Ä", "b"], "velocity": None})])
        assert (first.status, second.status) == (200, 200)
        assert first.json()["rules"] == [LARGE, FREQUENT]
        assert second.json()["rules"] == [rule(when={"customer_in": ["Ä", "b"]})]
        assert second.json()["version"] == first.json()["version"] + 1
        assert client.request("GET", PATH).json() == second.json()
        old = client.request("GET", PATH, query={"version": str(first.json()["version"])})
        assert old.json() == first.json()

    def test_a_version_that_does_not_exist(self, client: ApiClient) -> None:
        assert client.request("GET", PATH, query={"version": "99999"}).status == 404
        assert client.request("GET", PATH, query={"version": "9999999999"}).status == 422
        assert client.request("GET", PATH, query={"version": "0"}).status == 422

    def test_they_are_the_merchants_own(self, client: ApiClient) -> None:
        put(client, [LARGE])
        assert client.request("GET", PATH, api_key=OTHER_KEY).json()["rules"] == []
        assert put(client, [], api_key=OPERATOR_KEY).status == 403

    @pytest.mark.parametrize(
        ("rules", "field", "code"),
        [
            ({}, "rules", "not_an_array"),
            (None, "rules", "required"),
            ([[]], "rules.0", "not_an_object"),
            ([rule(), rule()], "rules.1.id", "duplicate_id"),
            ([rule(id=f"r{number}") for number in range(101)], "rules", "too_many_members"),
            ([rule(id="a b")], "rules.0.id", "rule_id_invalid"),
            ([rule(id=1)], "rules.0.id", "not_a_string"),
            ([{"action": "block", "when": {}}], "rules.0.id", "required"),
            ([{"id": "a", "when": {}}], "rules.0.action", "required"),
            ([{"id": "a", "action": "block"}], "rules.0.when", "required"),
            ([rule(action="deny")], "rules.0.action", "not_an_option"),
            ([rule(score=-1)], "rules.0.score", "number_invalid"),
            ([rule(score=1001)], "rules.0.score", "number_invalid"),
            ([rule(score=1.5)], "rules.0.score", "number_invalid"),
            ([rule(score=True)], "rules.0.score", "number_invalid"),
            ([rule(weight=1)], "rules.0.weight", "unknown_member"),
            (when(amount_lte="1"), "rules.0.when.amount_lte", "unknown_member"),
            (when(**{"4111 1111": "1"}), "rules.0.when.?", "unknown_member"),
            (when(amount_gte=100), "rules.0.when.amount_gte", "amount_not_a_string"),
            (when(amount_gte="-1"), "rules.0.when.amount_gte", "amount_malformed"),
            (when(amount_gte="1.00001"), "rules.0.when.amount_gte", "amount_malformed"),
            (when(amount_gte="1e3"), "rules.0.when.amount_gte", "amount_malformed"),
            (when(amount_gte="0.00"), "rules.0.when.amount_gte", "amount_not_positive"),
            (when(amount_gte="9" * 21), "rules.0.when.amount_gte", "amount_too_large"),
            (when(currency_in=["eur"]), "rules.0.when.currency_in.0", "currency_unsupported"),
            (when(currency_in="EUR"), "rules.0.when.currency_in", "not_an_array"),
            (when(currency_in=[]), "rules.0.when.currency_in", "too_few_members"),
            (when(currency_in=["EUR", "EUR"]), "rules.0.when.currency_in", "duplicate_member"),
            (when(customer_in=[""]), "rules.0.when.customer_in.0", "customer_invalid"),
            (when(customer_in=[f"c{n}" for n in range(501)]), "rules.0.when.customer_in", "too_many_members"),
            (when(payment_method_in=["a b"]), "rules.0.when.payment_method_in.0", "payment_method_malformed"),
            (when(first_seen_customer="yes"), "rules.0.when.first_seen_customer", "not_a_boolean"),
            (velocity(per="card"), "rules.0.when.velocity.per", "not_an_option"),
            (velocity(window_seconds=0), "rules.0.when.velocity.window_seconds", "number_invalid"),
            (velocity(window_seconds=2_592_001), "rules.0.when.velocity.window_seconds", "number_invalid"),
            (velocity(window_seconds="60"), "rules.0.when.velocity.window_seconds", "number_invalid"),
            (velocity(count_gte=0), "rules.0.when.velocity.count_gte", "number_invalid"),
            (velocity(count_gte=None), "rules.0.when.velocity", "velocity_without_limit"),
            (velocity(sum=1), "rules.0.when.velocity.sum", "unknown_member"),
            (
                [{**velocity(window_seconds=n)[0], "id": f"v{n}"} for n in range(1, 22)],
                "rules",
                "too_many_windows",
            ),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_a_rule_that_is_wrong_is_named(self, client: ApiClient, rules: Any, field: str, code: str) -> None:
        before = client.request("GET", PATH).json()
        answer = put(client, rules)
        assert answer.status == 422
        assert answer.json()["code"] == "validation_failed"
        assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]
        assert client.request("GET", PATH).json() == before

    def test_all_faults_are_named_at_once(self, client: ApiClient) -> None:
        answer = put(client, [rule(id="?", action="?", when={"amount_gte": 1, "x": 1})])
        assert {error["field"] for error in answer.json()["errors"]} == {
            "rules.0.id",
            "rules.0.action",
            "rules.0.when.x",
            "rules.0.when.amount_gte",
        }

    def test_an_unknown_member_beside_the_rules(self, client: ApiClient) -> None:
        answer = send(client, "PUT", PATH, {"rules": [], "mode": "x"})
        assert [error["field"] for error in answer.json()["errors"]] == ["mode"]


class TestDryRuns:
    def test_a_few_payments_are_checked_at_once(self, client: ApiClient) -> None:
        for amount in ("99.99", "100.00", "250.00"):
            assert client.create({"amount": amount, "currency": "RUB", "customer": "d-1"}).status == 202
        answer = try_rules(client, [LARGE, FREQUENT], *ALL)
        found = answer.json()
        assert (answer.status, found["state"], found["progress"]) == (200, "finished", 1.0)
        assert (found["checked"], found["total"]) == (3, 3)
        assert found["decisions"] == {"allow": 1, "review": 0, "block": 2}
        assert found["rules"] == {"large": 2, "frequent": 1}
        assert [sample["decision"] for sample in found["samples"]] == ["block", "block"]
        assert found["samples"][1]["rules"] == ["large", "frequent"]
        read = client.request("GET", answer.headers["location"])
        assert (read.status, read.json()) == (200, found)
        stranger = client.request("GET", answer.headers["location"], api_key=OTHER_KEY)
        assert stranger.status == 404

    def test_many_payments_are_checked_while_it_is_read(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 2)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        for _ in range(5):
            client.create({"amount": "1.00", "currency": "RUB", "customer": "d-2"}, api_key=OTHER_KEY)
        answer = try_rules(client, [LARGE], *ALL, api_key=OTHER_KEY)
        assert (answer.status, answer.json()["state"]) == (202, "running")
        path = answer.headers["location"]
        progress = [answer.json()["checked"]]
        while answer.json()["state"] == "running":
            answer = client.request("GET", path, api_key=OTHER_KEY)
            progress.append(answer.json()["checked"])
        assert progress == [2, 4, 5]
        assert answer.json()["total"] == 5

    def test_a_new_one_takes_the_place_of_an_unfinished_one(
        self, client: ApiClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dry_run, "SLICE_PAYMENTS", 1)
        monkeypatch.setattr(dry_run, "REQUEST_SECONDS_MAX", 0.0)
        client.create()
        first = try_rules(client, [LARGE], *ALL)
        assert first.json()["state"] == "running"
        second = try_rules(client, [LARGE], *ALL)
        assert second.json()["state"] == "running"
        assert client.request("GET", first.headers["location"]).json()["state"] == "canceled"

    @pytest.mark.parametrize(
        ("changes", "field", "code"),
        [
            ({"from": None}, "from", "required"),
            ({"to": "2020-01-01"}, "to", "time_invalid"),
            ({"to": 5}, "to", "time_invalid"),
            ({"to": "2020-01-01T00:00:00Z"}, "to", "range_invalid"),
            ({"rules": None}, "rules", "required"),
            ({"rules": [{}, 5]}, "rules.0.id", "required"),
            ({"limit": 5}, "limit", "unknown_member"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_an_order_that_is_wrong(self, client: ApiClient, changes: dict[str, Any], field: str, code: str) -> None:
        answer = send(client, "POST", f"{PATH}/dry-run", {"rules": [LARGE], **RANGE, **changes})
        assert answer.status == 422
        assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]

    def test_a_range_may_begin_with_the_calendar(self, client: ApiClient) -> None:
        answer = try_rules(client, velocity(), "0001-01-01T00:00:00Z", RANGE["to"], api_key=OTHER_KEY)
        assert answer.status == 200

    def test_one_that_does_not_exist(self, client: ApiClient) -> None:
        for id_ in (str(uuid.uuid4()), "nonsense"):
            assert client.request("GET", f"{PATH}/dry-run/{id_}").json()["code"] == "dry_run_not_found"
