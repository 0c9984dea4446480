"""Webhook endpoints over HTTP."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, OTHER_KEY, Answer, ApiClient
from paybridge.core.event_patterns import FAMILIES
from paybridge.core.events import PUBLIC_TYPES
from paybridge.core.standard_webhooks import parse_secret
from paybridge.database.database import Database, Statement
from paybridge.webhooks.domain.endpoint import ENDPOINTS_MAX, EVENTS_MAX

pytestmark = pytest.mark.integration

PATH = "/api/v1/webhook-endpoints"
ORDER = {"url": "https://shop.example/webhooks", "events": ["payment.*", "refund.succeeded"], "description": "Books"}
_WAITING = Statement("""
    INSERT INTO webhook_deliveries (id, merchant_id, endpoint_id, event_id, event_type, url, body, correlation_id,
                                    next_attempt_at)
    SELECT (left(uuid7_floor(now())::text, 14) || substr(gen_random_uuid()::text, 15))::uuid, e.merchant_id, e.id,
           gen_random_uuid(), 'payment.failed', e.url, '{}', 'c', now() + interval '1 day'
    FROM webhook_endpoints e, generate_series(1, :count::integer) WHERE e.id = :endpoint_id::uuid
""")
_DELETE_ALL = Statement("UPDATE webhook_endpoints SET deleted_at = now() WHERE deleted_at IS NULL")


@pytest.fixture(autouse=True)
def _no_endpoints(database: Database) -> None:
    database.run(_DELETE_ALL)


def send(client: ApiClient, method: str, path: str = "", body: Any = None, **options: Any) -> Answer:
    return client.request(method, PATH + path, body=None if body is None else json.dumps(body).encode(), **options)


def created(client: ApiClient, **members: Any) -> Any:
    answer = send(client, "POST", body={**ORDER, **members})
    assert answer.status == 201, answer.body
    return answer.json()


class TestCreate:
    def test_an_endpoint_has_a_secret_that_is_shown_once(self, client: ApiClient) -> None:
        answer = send(client, "POST", body=ORDER)
        endpoint = answer.json()
        assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
        assert answer.headers["location"] == f"{PATH}/{endpoint['endpoint_id']}"
        assert {**ORDER, "status": "enabled"}.items() <= endpoint.items()
        secret = endpoint.pop("secret")
        assert len(parse_secret(secret)) == 32
        assert endpoint["secrets"] == [{"last_four": secret[-4:], "valid_until": None}]
        assert send(client, "GET", f"/{endpoint['endpoint_id']}").json() == endpoint
        assert send(client, "GET").json()["data"] == [endpoint]

    def test_every_type_and_family_can_be_chosen(self, client: ApiClient) -> None:
        events = ["*", *FAMILIES, *PUBLIC_TYPES]
        for start in range(0, len(events), EVENTS_MAX):
            chosen = events[start : start + EVENTS_MAX]
            endpoint = created(client, events=chosen)
            assert endpoint["events"] == chosen
            send(client, "DELETE", f"/{endpoint['endpoint_id']}")

    @pytest.mark.parametrize(
        ("members", "field", "code"),
        [
            ({"url": "ftp://x.example"}, "url", "webhook_scheme_invalid"),
            ({"url": "http://10.0.0.1/x"}, "url", "webhook_url_insecure"),
            ({"url": None}, "url", "not_a_string"),
            ({"url": "https://x.example/" + "x" * 2048}, "url", "webhook_url_too_long"),
            ({"events": []}, "events", "too_few_members"),
            ({"events": ["payment.exploded"]}, "events.?", "event_pattern_unknown"),
            ({"events": ["*"] * 21}, "events", "too_many_members"),
            ({"events": "*"}, "events", "not_a_list"),
            ({"description": "x" * 501}, "description", "text_too_long"),
            ({"secret": "mine"}, "secret", "unknown_member"),
        ],
    )
    def test_faults_are_named(self, client: ApiClient, members: Any, field: str, code: str) -> None:
        answer = send(client, "POST", body={**ORDER, **members})
        assert answer.status == 422, answer.body
        assert (field, code) in [(error["field"], error["code"]) for error in answer.json()["errors"]]

    def test_there_is_a_limit(self, client: ApiClient) -> None:
        for _ in range(ENDPOINTS_MAX):
            created(client)
        answer = send(client, "POST", body=ORDER)
        assert (answer.status, answer.json()["code"]) == (409, "webhook_endpoints_too_many")


class TestChange:
    def test_only_the_named_members_change(self, client: ApiClient) -> None:
        before = created(client)
        after = send(client, "PATCH", f"/{before['endpoint_id']}", {"description": None, "events": ["*"]}).json()
        assert {name for name in after if after[name] != before[name]} == {"description", "events", "updated_at"}

    def test_disabling_and_enabling_say_since_when_and_why(self, client: ApiClient) -> None:
        id_ = created(client)["endpoint_id"]
        disabled = send(client, "PATCH", f"/{id_}", {"status": "disabled"}).json()
        assert (disabled["status"], disabled["disabled_reason"]) == ("disabled", "merchant")
        assert disabled["disabled_at"] is not None
        answer = send(client, "POST", f"/{id_}/test")
        assert (answer.status, answer.json()["code"]) == (409, "webhook_endpoint_disabled")
        enabled = send(client, "PATCH", f"/{id_}", {"status": "enabled"}).json()
        assert (enabled["status"], enabled["disabled_at"], enabled["disabled_reason"]) == ("enabled", None, None)
        events = client.get("/api/v1/events", query={"type": "webhook_endpoint.*", "limit": 100}).json()["data"]
        types = [event["type"] for event in events]
        assert types[-2:] == ["webhook_endpoint.disabled", "webhook_endpoint.enabled"]

    def test_enabling_shows_how_much_of_what_waited_has_gone_on(self, client: ApiClient, database: Database) -> None:
        endpoint = created(client)
        id_ = endpoint["endpoint_id"]
        assert endpoint["resuming"] is None
        send(client, "PATCH", f"/{id_}", {"status": "disabled"})
        database.run(_WAITING, endpoint_id=uuid.UUID(id_), count=6_000)
        enabled = send(client, "PATCH", f"/{id_}", {"status": "enabled"}).json()
        resuming = enabled["resuming"]
        assert resuming["since"] == enabled["updated_at"]
        assert 500 <= resuming["resumed"] <= 5_000
        assert resuming["resumed"] + resuming["waiting"] == 6_000
        listed = [each for each in client.get(PATH).json()["data"] if each["endpoint_id"] == id_]
        assert client.get(f"{PATH}/{id_}").json() == listed[0] == enabled

    @pytest.mark.parametrize("members", [{"url": None}, {"events": None}, {"status": None}, {"status": "paused"}])
    def test_what_an_endpoint_needs_cannot_be_removed(self, client: ApiClient, members: Any) -> None:
        assert send(client, "PATCH", f"/{created(client)['endpoint_id']}", members).status == 422


class TestRotateSecret:
    def test_the_old_secret_ends_after_the_overlap(self, client: ApiClient) -> None:
        before = created(client)
        rotated = send(client, "POST", f"/{before['endpoint_id']}/rotate-secret").json()
        assert rotated["secret"] != before["secret"]
        newest, old = rotated["secrets"]
        assert (newest["valid_until"], old["last_four"]) == (None, before["secret"][-4:])
        leaked = send(client, "POST", f"/{before['endpoint_id']}/rotate-secret", {"overlap_seconds": 0}).json()
        assert len(leaked["secrets"]) == 1

    @pytest.mark.parametrize("seconds", [-1, 604_801, 1.5, "60"])
    def test_an_overlap_that_cannot_be_is_refused(self, client: ApiClient, seconds: Any) -> None:
        path = f"/{created(client)['endpoint_id']}/rotate-secret"
        assert send(client, "POST", path, {"overlap_seconds": seconds}).status == 422


class TestTest:
    def test_names_its_delivery(self, client: ApiClient) -> None:
        id_ = created(client)["endpoint_id"]
        answer = send(client, "POST", f"/{id_}/test")
        assert answer.status == 202
        delivery = client.get(answer.headers["location"]).json()
        assert delivery["delivery_id"] == answer.json()["delivery_id"]
        assert delivery["endpoint_id"] == id_


class TestDeliveries:
    def test_lists_what_was_sent_newest_first_and_by_status(self, client: ApiClient) -> None:
        id_ = created(client)["endpoint_id"]
        sent = [send(client, "POST", f"/{id_}/test").json()["delivery_id"] for _ in range(3)]
        first = send(client, "GET", f"/{id_}/deliveries", query={"limit": 2}).json()
        rest = send(client, "GET", f"/{id_}/deliveries", query={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [each["delivery_id"] for each in first["data"] + rest["data"]] == sent[::-1]
        assert not rest["has_more"]
        for query, count in (
            ({"status": "pending"}, 3),
            ({"status": "delivered"}, 0),
            ({"event_type": "webhook_endpoint.test"}, 3),
            ({"event_type": "payment.failed"}, 0),
        ):
            assert len(send(client, "GET", f"/{id_}/deliveries", query=query).json()["data"]) == count

    @pytest.mark.parametrize("query", [{"status": "lost"}, {"limit": 0}, {"cursor": "x"}, {"order": "asc"}])
    def test_a_page_that_cannot_be_is_refused(self, client: ApiClient, query: Any) -> None:
        assert send(client, "GET", f"/{created(client)['endpoint_id']}/deliveries", query=query).status == 422

    def test_another_merchants_log_is_not_found(self, client: ApiClient) -> None:
        path = f"/{created(client)['endpoint_id']}/deliveries"
        assert send(client, "GET", path, api_key=OTHER_KEY).status == 404
        assert send(client, "GET", path, api_key=OPERATOR_KEY).status == 200


class TestDelete:
    def test_a_deleted_endpoint_is_not_found(self, client: ApiClient) -> None:
        id_ = created(client)["endpoint_id"]
        assert send(client, "DELETE", f"/{id_}").status == 204
        for method, suffix, body in (
            ("GET", "", None),
            ("PATCH", "", {}),
            ("DELETE", "", None),
            ("POST", "/test", None),
            ("POST", "/rotate-secret", {}),
        ):
            answer = send(client, method, f"/{id_}{suffix}", body)
            assert (answer.status, answer.json()["code"]) == (404, "webhook_endpoint_not_found")

    @pytest.mark.parametrize("id_", ["42", str(uuid.UUID(int=1))])
    def test_what_is_no_endpoint_is_not_found(self, client: ApiClient, id_: str) -> None:
        assert send(client, "GET", f"/{id_}").status == 404

    def test_another_merchants_endpoint_is_not_found_and_staff_reads_it(self, client: ApiClient) -> None:
        id_ = created(client)["endpoint_id"]
        assert send(client, "DELETE", f"/{id_}", api_key=OTHER_KEY).status == 404
        assert send(client, "GET", f"/{id_}", api_key=OPERATOR_KEY).status == 200
