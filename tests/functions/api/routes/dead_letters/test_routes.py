"""The operators' routes of dead letters, as API Gateway calls them."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from local.testkit.api import OPERATOR_KEY, Answer, ApiClient
from paybridge.access.domain.caller import Role
from paybridge.access.register import register_merchant
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from tests.support.dead_letters import record_dead

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/dead-letters"
KEYS = {role: f"key-of-{role}" for role in Role}


@pytest.fixture(autouse=True)
def services(database: Database) -> DeadLetterServices:
    database.run(Statement("TRUNCATE dead_letters, dead_letter_redrives, dead_letter_actions"))
    for role, key in KEYS.items():
        register_merchant(database, name=role, api_key=key, webhook_secret="whsec_x", role=role)
    return DeadLetterServices(database, SystemClock(), Uuid7Ids())


def get(client: ApiClient, path: str = "", **options: Any) -> Answer:
    return client.get(PATH + path, **{"api_key": OPERATOR_KEY, **options})


def post(client: ApiClient, path: str, body: Any, **options: Any) -> Answer:
    headers = {"content-type": "application/json", **options.pop("headers", {})}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.request("POST", PATH + path, body=raw, headers=headers, **{"api_key": OPERATOR_KEY, **options})


class TestRoles:
    @pytest.mark.parametrize(
        ("role", "reads", "changes"),
        [
            (Role.MERCHANT, 403, 403),
            (Role.SUPPORT, 403, 403),
            (Role.AUDITOR, 200, 403),
            (Role.OPERATOR, 200, 202),
            (Role.ADMIN, 200, 202),
        ],
    )
    def test_operators_and_admins_do_all_and_auditors_read(
        self, client: ApiClient, services: DeadLetterServices, role: Role, reads: int, changes: int
    ) -> None:
        letter = record_dead(services)
        key = KEYS[role]
        answers = [get(client, path, api_key=key) for path in ("", "/groups", f"/{letter.id}")]
        assert {answer.status for answer in answers} == {reads}
        redriven = post(client, "/redrive", {"queue": "webhooks", "dry_run": True}, api_key=key)
        assert redriven.status == changes
        discarded = post(client, f"/{letter.id}/discard", {"note": "why"}, api_key=key)
        assert discarded.status == (403 if changes == 403 else 200)
        for refused in (answer for answer in (*answers, redriven, discarded) if answer.status == 403):
            assert refused.json()["code"] == "role_not_permitted"

    def test_without_a_key_nothing_is_shown(self, client: ApiClient) -> None:
        assert get(client, api_key="").status == 401
        assert post(client, "/redrive", b"", api_key="").status == 401


class TestList:
    def test_items_say_what_died_where_and_why(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services, queue="payments.new", reason="not JSON", message_id="m")
        (item,) = get(client, query={"queue": "payments.new", "state": "dead"}).json()["data"]
        assert item == {
            **item,
            "dead_letter_id": str(letter.id),
            "queue": "payments.new",
            "reason": "not JSON",
            "fingerprint": letter.death.fingerprint,
            "state": "dead",
            "count": 1,
            "message_id": "m",
        }
        assert item["first_seen_at"] == item["last_seen_at"]
        assert not {"body", "headers"} & item.keys()

    def test_pages_are_followed_by_cursor(self, client: ApiClient, services: DeadLetterServices) -> None:
        letters = [str(record_dead(services).id) for _ in range(3)]
        first = get(client, query={"limit": 2}).json()
        second = get(client, query={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [item["dead_letter_id"] for item in first["data"] + second["data"]] == letters[::-1]
        assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
        assert get(client, query={"cursor": ""}).status == 200

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=lost", "state"),
            ("fingerprint=xyz", "fingerprint"),
            ("queue=", "queue"),
            ("queue=%00", "queue"),
            ("limit=0", "limit"),
            ("limit=1000", "limit"),
            ("cursor=nonsense", "cursor"),
            ("cursor=" + "1" * 100, "cursor"),
            ("colour=red", "colour"),
            ("queue=a&queue=b", "queue"),
        ],
    )
    def test_a_query_that_cannot_be_meant_is_explained(self, client: ApiClient, query: str, field: str) -> None:
        answer = get(client, query=query)
        assert answer.status == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    def test_groups_are_listed_with_an_example(self, client: ApiClient, services: DeadLetterServices) -> None:
        newest = [record_dead(services, reason=f"number {number}") for number in range(3)][-1]
        (group,) = get(client, "/groups", query={"state": "dead"}).json()["data"]
        assert (group["count"], group["example_id"]) == (3, str(newest.id))
        assert get(client, "/groups", query={"limit": 1}).status == 422


class TestShow:
    def test_body_headers_and_deaths_are_shown(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services, body=b'{"a": 1}', headers={"h": [1, {"x": None}]})
        shown = get(client, f"/{letter.id}").json()
        assert (shown["body"], shown["body_encoding"]) == ('{"a": 1}', "utf-8")
        assert shown["headers"]["h"] == [1, {"x": None}]
        assert (shown["deaths"], shown["actions"]) == ([], [])

    def test_ten_megabytes_fit_into_an_answer_of_lambda(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services, body=b"\x01" * 10_000_000)
        answer = get(client, f"/{letter.id}")
        assert len(answer.body) < 5_500_000
        assert (answer.json()["body_truncated"], answer.json()["body_bytes"]) == (True, 10_000_000)

    @pytest.mark.parametrize("id_", ["10c912a7-6595-48d7-ba90-e6304cd7a45a", "42", "%00"])
    def test_an_unknown_one_is_not_found(self, client: ApiClient, id_: str) -> None:
        assert get(client, f"/{id_}").json()["code"] == "dead_letter_not_found"
        assert post(client, f"/{id_}/discard", {"note": "why"}).json()["code"] == "dead_letter_not_found"


class TestDiscard:
    def test_it_is_recorded_under_the_key_that_was_used(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        answer = post(client, f"/{letter.id}/discard", {"note": " sent by hand "})
        assert (answer.status, answer.json()["state"], answer.json()["note"]) == (200, "discarded", "sent by hand")
        assert answer.json()["discarded_by"].startswith("operator key ")
        UUID(answer.json()["discarded_by"].removeprefix("operator key "))
        again = post(client, f"/{letter.id}/discard", {"note": "again"})
        assert (again.status, again.json()) == (200, answer.json())

    def test_what_is_being_redriven_is_a_conflict(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        post(client, "/redrive", {"ids": [str(letter.id)]})
        answer = post(client, f"/{letter.id}/discard", {"note": "why"})
        assert (answer.status, answer.json()["code"]) == (409, "dead_letter_not_dead")

    @pytest.mark.parametrize(
        "body", [{}, {"note": ""}, {"note": "  "}, {"note": 1}, {"note": "x" * 1001}, {"note": None}]
    )
    def test_it_needs_a_note(self, client: ApiClient, services: DeadLetterServices, body: Any) -> None:
        answer = post(client, f"/{record_dead(services).id}/discard", body)
        assert (answer.status, answer.json()["errors"][0]["field"]) == (422, "note")


class TestRedrive:
    def test_a_dry_run_says_what_would_happen(self, client: ApiClient, services: DeadLetterServices) -> None:
        letter = record_dead(services)
        answer = post(
            client, "/redrive", {"fingerprint": letter.death.fingerprint, "dry_run": True, "rate_per_second": 2}
        )
        assert answer.status == 202
        assert answer.json() == {
            "redrive_id": None,
            "matched": 1,
            "would": {
                "publish": [
                    {"queue": "webhooks", "reason": "because", "fingerprint": letter.death.fingerprint, "count": 1}
                ],
                "rate_per_second": 2.0,
                "seconds": 0.0,
                "has_more": False,
                "not_redrivable": 0,
            },
        }
        assert get(client).json()["data"][0]["state"] == "dead"

    @pytest.mark.parametrize("selector", ["ids", "fingerprint", "queue"])
    def test_each_selector_redrives_once(self, client: ApiClient, services: DeadLetterServices, selector: str) -> None:
        letter = record_dead(services)
        value = {"ids": [str(letter.id)], "fingerprint": letter.death.fingerprint, "queue": "webhooks"}[selector]
        body = {selector: value, "dry_run": False}
        first, second = post(client, "/redrive", body).json(), post(client, "/redrive", body).json()
        assert (first["matched"], second["matched"]) == (1, 0)
        item = get(client).json()["data"][0]
        assert (item["state"], item["redrive_id"]) == ("redriving", first["redrive_id"])

    def test_a_repeated_key_gets_the_first_answer(self, client: ApiClient, services: DeadLetterServices) -> None:
        record_dead(services)
        headers = {"idempotency-key": str(uuid4())}
        first = post(client, "/redrive", {"queue": "webhooks"}, headers=headers)
        again = post(client, "/redrive", {"dry_run": False, "queue": "webhooks"}, headers=headers)
        other = post(client, "/redrive", {"queue": "payments.new"}, headers=headers)
        assert again.json() == first.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert (other.status, other.json()["code"]) == (422, "idempotency_key_reused")

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({}, "ids", "selection_invalid"),
            ({"queue": "a", "fingerprint": "0" * 16}, "queue", "selection_invalid"),
            ({"ids": []}, "ids", "ids_invalid"),
            ({"ids": ["x"]}, "ids", "ids_invalid"),
            ({"ids": "all"}, "ids", "ids_invalid"),
            ({"ids": [None]}, "ids", "ids_invalid"),
            ({"fingerprint": 7}, "fingerprint", "fingerprint_invalid"),
            ({"queue": ""}, "queue", "queue_invalid"),
            ({"queue": "a", "dry_run": "yes"}, "dry_run", "not_a_boolean"),
            ({"queue": "a", "rate_per_second": 0}, "rate_per_second", "rate_invalid"),
            ({"queue": "a", "rate_per_second": 0.000001}, "rate_per_second", "rate_invalid"),
            ({"queue": "a", "rate_per_second": -1}, "rate_per_second", "rate_invalid"),
            ({"queue": "a", "rate_per_second": 1e9}, "rate_per_second", "rate_invalid"),
            ({"queue": "a", "rate_per_second": "5"}, "rate_per_second", "rate_invalid"),
            ({"queue": "a", "colour": 1}, "colour", "unknown_member"),
        ],
    )
    def test_a_body_that_cannot_be_meant_is_explained(
        self, client: ApiClient, body: dict[str, Any], field: str, code: str
    ) -> None:
        answer = post(client, "/redrive", body)
        assert answer.status == 422
        assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]

    @pytest.mark.parametrize(("body", "status"), [(b"", 400), (b"{", 400), (b"[]", 422), (b'{"a": NaN}', 400)])
    def test_a_body_that_is_no_object_is_refused(self, client: ApiClient, body: bytes, status: int) -> None:
        assert post(client, "/redrive", body).status == status
