"""API keys over HTTP: a merchant's own, and anyone's for administrators."""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.testkit.api import MERCHANT_KEY, OTHER_KEY, WEBHOOK_SECRET, Answer, ApiClient, api_client, demo_merchant_id
from paybridge.access.create_key import KeyCreator
from paybridge.access.domain.api_keys import KEY_PATTERN, key_hash
from paybridge.access.register import register_merchant
from paybridge.access.rotate_key import rotate_key
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

OWN = "/api/v1/api-keys"
ANYONES = "/api/v1/ops/api-keys"
ADMIN_KEY = "secret-admin-key"
_STORED = Statement("SELECT row_to_json(k)::text FROM api_keys k WHERE id = :id::uuid")
_EXPIRE = Statement("""
    UPDATE api_keys SET expires_at = now() - interval '1 hour', last_used_at = now() - interval '2 hours'
    WHERE id = :id::uuid
""")


@pytest.fixture(autouse=True)
def _admin(database: Database) -> None:
    register_merchant(database, name="Admin", api_key=ADMIN_KEY, role="admin")


def send(client: ApiClient, method: str, path: str, body: Any = None, **options: Any) -> Answer:
    raw = None if body is None else json.dumps(body).encode()
    return client.request(method, path, body=raw, **options)


def created(client: ApiClient, body: Any = None, **options: Any) -> Any:
    answer = send(client, "POST", OWN, body, **options)
    assert answer.status == 201, answer.body
    return answer.json()


class TestCreate:
    def test_a_new_key_works_and_is_shown_once(self, client: ApiClient, database: Database) -> None:
        answer = send(client, "POST", OWN, {"name": "Shop"})
        key = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(KEY_PATTERN, key["api_key"])
        assert (key["name"], key["role"], key["status"]) == ("Shop", "merchant", "active")
        assert key["last_four"] == key["api_key"][-4:]
        assert client.get("/api/v1/payments", api_key=key["api_key"]).status == 200
        listed = [item for item in client.get(OWN).json()["data"] if item["key_id"] == key["key_id"]]
        assert listed[0].pop("last_used_at") > key.pop("created_at") == listed[0].pop("created_at")
        assert listed == [{name: value for name, value in key.items() if name not in {"api_key", "last_used_at"}}]
        assert key["api_key"] not in str(database.run(_STORED, id=uuid.UUID(key["key_id"])))

    def test_without_a_body_everything_is_absent(self, client: ApiClient) -> None:
        key = created(client)
        assert (key["name"], key["expires_at"], key["rate_limit"]) == (None, None, None)

    @pytest.mark.parametrize(
        ("body", "field", "code"),
        [
            ({"name": ""}, "name", "text_too_short"),
            ({"name": "x" * 201}, "name", "text_too_long"),
            ({"name": "a\0"}, "name", "text_unstorable"),
            ({"name": 7}, "name", "not_a_string"),
            ({"role": "king"}, "role", "not_an_option"),
            ({"expires_at": "tomorrow"}, "expires_at", "time_invalid"),
            ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "expires_at_past"),
            ({"rate_limit": {"per_second": 1, "burst": 1}}, "rate_limit", "unknown_member"),
            ({"owner": 1}, "owner", "unknown_member"),
        ],
    )
    def test_faults_are_named(self, client: ApiClient, body: Any, field: str, code: str) -> None:
        answer = send(client, "POST", OWN, body)
        assert answer.status in {400, 422}
        if code != "text_unstorable":
            assert [(error["field"], error["code"]) for error in answer.json()["errors"]] == [(field, code)]

    @pytest.mark.parametrize("body", [{"role": "admin"}, {"role": "support"}, {"merchant_id": str(uuid.UUID(int=7))}])
    def test_a_merchant_cannot_make_keys_for_others(self, client: ApiClient, body: Any) -> None:
        answer = send(client, "POST", OWN, body)
        assert (answer.status, answer.json()["code"]) == (403, "role_not_permitted")

    def test_an_administrator_makes_keys_for_all(self, client: ApiClient, database: Database) -> None:
        merchant_id = str(demo_merchant_id(database))
        limit = {"per_second": 5, "burst": 10}
        key = send(client, "POST", ANYONES, {"merchant_id": merchant_id, "rate_limit": limit}, api_key=ADMIN_KEY).json()
        assert (key["role"], key["merchant_id"], key["rate_limit"]) == ("merchant", merchant_id, limit)
        staff = send(client, "POST", ANYONES, {"role": "support", "name": "Night"}, api_key=ADMIN_KEY).json()
        assert (staff["role"], staff["merchant_id"]) == ("support", None)
        assert client.get(f"{ANYONES}", api_key=staff["api_key"]).status == 403

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "required"),
            ({"role": "merchant"}, "required"),
            ({"merchant_id": str(uuid.UUID(int=7))}, "merchant_unknown"),
            ({"role": "admin", "merchant_id": str(uuid.UUID(int=7))}, "merchant_not_allowed"),
            ({"role": "admin", "rate_limit": {"per_second": 0, "burst": 1}}, "validation_failed"),
            ({"role": "admin", "rate_limit": {"per_second": 1.5, "burst": 1}}, "validation_failed"),
            ({"role": "admin", "rate_limit": {"per_second": True, "burst": 1}}, "validation_failed"),
            ({"role": "admin", "rate_limit": {"per_second": 1}}, "validation_failed"),
        ],
    )
    def test_an_administrators_faults_are_named(self, client: ApiClient, body: Any, code: str) -> None:
        answer = send(client, "POST", ANYONES, body, api_key=ADMIN_KEY)
        assert (answer.status, answer.json()["code"]) == (422, code)


def limited(client: ApiClient, database: Database, per_second: int = 50, burst: int = 100) -> Any:
    """A key of the demo merchant that an administrator has limited."""
    body = {
        "merchant_id": str(demo_merchant_id(database)),
        "rate_limit": {"per_second": per_second, "burst": burst},
    }
    return send(client, "POST", ANYONES, body, api_key=ADMIN_KEY).json()


class TestLimits:
    """A limited key never makes one that may do more."""

    def test_a_key_that_it_creates_has_its_limit(self, client: ApiClient, database: Database) -> None:
        key = limited(client, database)
        first = created(client, {"name": "Shop"}, api_key=key["api_key"])
        second = created(client, {"name": "Shop"}, api_key=first["api_key"])
        assert first["rate_limit"] == second["rate_limit"] == key["rate_limit"] == {"per_second": 50, "burst": 100}
        answer = client.get("/api/v1/payments", api_key=second["api_key"])
        assert answer.headers["ratelimit-policy"].startswith('"key";q=100;w=2')

    def test_a_key_without_a_limit_that_it_rotates_gets_its_limit(self, client: ApiClient, database: Database) -> None:
        key, free = limited(client, database), created(client)
        rotated = send(client, "POST", f"{OWN}/{free['key_id']}/rotate", api_key=key["api_key"]).json()
        assert (free["rate_limit"], rotated["rate_limit"]) == (None, {"per_second": 50, "burst": 100})

    def test_a_stricter_key_that_it_rotates_stays_as_strict(self, client: ApiClient, database: Database) -> None:
        key, strict = limited(client, database), limited(client, database, per_second=5, burst=200)
        rotated = send(client, "POST", f"{OWN}/{strict['key_id']}/rotate", api_key=key["api_key"]).json()
        assert rotated["rate_limit"] == {"per_second": 5, "burst": 100}

    def test_a_key_without_a_limit_leaves_that_of_others(self, client: ApiClient, database: Database) -> None:
        key = limited(client, database)
        rotated = send(client, "POST", f"{OWN}/{key['key_id']}/rotate").json()
        assert rotated["rate_limit"] == {"per_second": 50, "burst": 100}

    def test_an_administrator_may_give_what_it_does_not_have(self, client: ApiClient, database: Database) -> None:
        body = {"role": "admin", "rate_limit": {"per_second": 1000, "burst": 1000}}
        admin = send(client, "POST", ANYONES, body, api_key=ADMIN_KEY).json()
        body = {"merchant_id": str(demo_merchant_id(database))}
        assert send(client, "POST", ANYONES, body, api_key=admin["api_key"]).json()["rate_limit"] is None


class TestList:
    def test_pages_are_newest_first_and_show_each_key_once(self, client: ApiClient) -> None:
        made = [created(client)["key_id"] for _ in range(3)]
        first = client.get(OWN, query={"limit": 2}).json()
        second = client.get(OWN, query={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [key["key_id"] for key in first["data"] + second["data"]][:3] == made[::-1]
        assert first["has_more"]

    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"cursor": "nonsense"}, {"order": "asc"}])
    def test_a_page_that_cannot_be_is_refused(self, client: ApiClient, query: Any) -> None:
        assert client.get(OWN, query=query).status == 422

    def test_staff_sees_the_keys_of_all(self, client: ApiClient) -> None:
        ids = {created(client)["key_id"], created(client, api_key=OTHER_KEY)["key_id"]}
        seen = client.get(ANYONES, query={"limit": 100}, api_key=ADMIN_KEY).json()["data"]
        assert ids <= {key["key_id"] for key in seen}


class TestRotate:
    def test_both_keys_work_until_the_overlap_ends(self, client: ApiClient) -> None:
        old = created(client, {"name": "Shop"})
        before = datetime.now(UTC)
        new = send(client, "POST", f"{OWN}/{old['key_id']}/rotate", {"overlap_seconds": 3600}).json()
        assert (new["name"], new["expires_at"]) == ("Shop", None)
        shown = next(key for key in client.get(OWN).json()["data"] if key["key_id"] == old["key_id"])
        assert shown["replaced_by"] == new["key_id"]
        ends_at = datetime.fromisoformat(shown["expires_at"])
        assert timedelta(seconds=3600) <= ends_at - before < timedelta(seconds=3605)
        for key in (old, new):
            assert client.get("/api/v1/payments", api_key=key["api_key"]).status == 200

    def test_a_key_with_an_end_is_not_prolonged(self, client: ApiClient) -> None:
        ends_at = (datetime.now(UTC) + timedelta(days=30)).isoformat()
        old = created(client, {"expires_at": ends_at})
        new = send(client, "POST", f"{OWN}/{old['key_id']}/rotate").json()
        assert datetime.fromisoformat(new["expires_at"]) == datetime.fromisoformat(ends_at)

    def test_the_default_overlap_is_a_day(self, client: ApiClient) -> None:
        old = created(client)
        send(client, "POST", f"{OWN}/{old['key_id']}/rotate")
        shown = next(key for key in client.get(OWN).json()["data"] if key["key_id"] == old["key_id"])
        left = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
        assert timedelta(hours=23, minutes=59) < left <= timedelta(days=1)

    def test_without_an_overlap_the_old_key_ends_at_once(self, client: ApiClient, database: Database) -> None:
        old = created(client)
        new = send(client, "POST", f"{OWN}/{old['key_id']}/rotate", {"overlap_seconds": 0}).json()
        # Another environment, which has nothing cached.
        fresh = api_client(database)
        assert fresh.get("/api/v1/payments", api_key=old["api_key"]).status == 401
        assert fresh.get("/api/v1/payments", api_key=new["api_key"]).status == 200

    @pytest.mark.parametrize("seconds", [-1, 7 * 86400 + 1, 1.5, "60", True])
    def test_an_overlap_that_cannot_be_is_refused(self, client: ApiClient, seconds: Any) -> None:
        key = created(client)
        answer = send(client, "POST", f"{OWN}/{key['key_id']}/rotate", {"overlap_seconds": seconds})
        assert answer.status == 422

    def test_a_key_is_rotated_once(self, client: ApiClient) -> None:
        key = created(client)
        new = send(client, "POST", f"{OWN}/{key['key_id']}/rotate").json()
        again = send(client, "POST", f"{OWN}/{key['key_id']}/rotate")
        assert (again.status, again.json()["code"]) == (409, "api_key_not_rotatable")
        assert again.json()["replaced_by"] == new["key_id"]

    def test_of_many_rotations_at_once_one_makes_a_key(
        self, client: ApiClient, database: Database, database_address: DatabaseAddress
    ) -> None:
        key_id = uuid.UUID(created(client)["key_id"])
        results: list[Any] = []

        def rotate() -> None:
            with closing(Database(database_address)) as connection:
                results.append(
                    rotate_key(
                        connection,
                        SystemClock(),
                        Uuid7Ids(),
                        None,
                        key_id,
                        overlap_seconds=60,
                        created_by=KeyCreator("test"),
                    )
                )

        threads = [threading.Thread(target=rotate) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(type(result).__name__ for result in results) == ["NewKey"] + ["StoredKey"] * 7


class TestRevoke:
    def test_a_revoked_key_stops_working(self, client: ApiClient, database: Database) -> None:
        key = created(client)
        assert send(client, "DELETE", f"{OWN}/{key['key_id']}").status == 204
        assert api_client(database).get("/api/v1/payments", api_key=key["api_key"]).status == 401
        assert send(client, "DELETE", f"{OWN}/{key['key_id']}").status == 204
        shown = next(item for item in client.get(OWN).json()["data"] if item["key_id"] == key["key_id"])
        assert shown["status"] == "revoked"
        assert send(client, "POST", f"{OWN}/{key['key_id']}/rotate").status == 409

    def test_the_first_revocation_is_kept(self, client: ApiClient) -> None:
        key = created(client)
        send(client, "DELETE", f"{OWN}/{key['key_id']}")
        first = next(item for item in client.get(OWN).json()["data"] if item["key_id"] == key["key_id"])
        send(client, "DELETE", f"{ANYONES}/{key['key_id']}", api_key=ADMIN_KEY)
        second = next(item for item in client.get(OWN).json()["data"] if item["key_id"] == key["key_id"])
        assert first["revoked_at"] == second["revoked_at"]


class TestLastUse:
    def test_a_refused_request_is_no_use_of_an_expired_key(self, client: ApiClient, database: Database) -> None:
        key = created(client)
        database.run(_EXPIRE, id=uuid.UUID(key["key_id"]))
        before = database.run(_STORED, id=uuid.UUID(key["key_id"]))
        assert api_client(database).get("/api/v1/payments", api_key=key["api_key"]).status == 401
        assert database.run(_STORED, id=uuid.UUID(key["key_id"])) == before


class TestOtherMerchants:
    @pytest.mark.parametrize(("method", "suffix"), [("POST", "/rotate"), ("DELETE", "")])
    def test_anothers_key_is_not_found_and_unchanged(
        self, client: ApiClient, database: Database, method: str, suffix: str
    ) -> None:
        key = created(client, api_key=OTHER_KEY)
        before = database.run(_STORED, id=uuid.UUID(key["key_id"]))
        answer = send(client, method, f"{OWN}/{key['key_id']}{suffix}", api_key=MERCHANT_KEY)
        assert (answer.status, answer.json()["code"]) == (404, "api_key_not_found")
        assert database.run(_STORED, id=uuid.UUID(key["key_id"])) == before

    @pytest.mark.parametrize("key_id", ["42", str(uuid.UUID(int=1)), "{" + str(uuid.UUID(int=1)) + "}"])
    def test_what_is_no_key_is_not_found(self, client: ApiClient, key_id: str) -> None:
        for path in (OWN, ANYONES):
            api_key = ADMIN_KEY if path == ANYONES else MERCHANT_KEY
            assert send(client, "DELETE", f"{path}/{key_id}", api_key=api_key).status == 404


def test_a_key_of_another_database_row_is_never_shown(client: ApiClient, database: Database) -> None:
    """The hash of the demo merchant's key leads to its merchant alone."""
    assert database.run(Statement("SELECT count(*) FROM api_keys WHERE key_hash = :h::bytea"), h=key_hash(MERCHANT_KEY))
    assert WEBHOOK_SECRET not in client.get(OWN).body.decode()
