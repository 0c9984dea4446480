"""Authentication by API key, and the cache in front of the database."""

from __future__ import annotations

import secrets
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from starlette.datastructures import Headers

from api.auth import Authenticator
from api.callers import CACHE_KEYS_MAX, KNOWN_SECONDS, UNKNOWN_SECONDS
from api.problems import Problem
from local.testkit.api import WEBHOOK_SECRET, ApiClient, api_client
from paybridge.access.domain.api_keys import key_hash
from paybridge.access.domain.caller import Principal, Role
from paybridge.access.new_secrets import new_api_key
from paybridge.access.ports import AdmittedCaller, TakenTokens
from paybridge.access.register import register_merchant
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement

MERCHANT = Principal(Role.MERCHANT, uuid.uuid4())
OPERATOR = Principal(Role.OPERATOR, None)


class Directory:
    """The keys in the database, and the number of look-ups."""

    def __init__(self, **keys: Principal) -> None:
        self.keys = {key_hash(key): principal for key, principal in keys.items()}
        self.asked = 0
        self.now_seconds = 1000.0

    def admit_key(self, digest: bytes, wanted: int) -> AdmittedCaller | None:
        """Return the owner of the key."""
        self.asked += 1
        owner = self.keys.get(digest)
        return None if owner is None else AdmittedCaller(owner)

    def admit_token(self, principal: Principal, wanted: int) -> AdmittedCaller | None:
        """Return the caller, whose merchant exists."""
        return AdmittedCaller(principal)

    def take(self, caller: AdmittedCaller, wanted: int) -> TakenTokens | None:
        """Take nothing: no caller here has a limit."""
        return None

    def authenticator(self, *, takes_any_key: bool = True) -> Authenticator:
        """Return an authenticator over this directory and its clock."""
        return Authenticator(self, self, lambda: self.now_seconds, takes_any_key=takes_any_key)

    def now(self) -> datetime:
        """Return the time of this directory's clock."""
        return datetime.fromtimestamp(self.now_seconds, UTC)


def caller_of(authenticator: Authenticator, headers: dict[str, str]) -> Principal:
    """Return the caller that these headers name."""
    return authenticator.authenticate(Headers(headers))[0]


def problem(authenticator: Authenticator, headers: dict[str, str]) -> Problem:
    """Return the problem that these headers cause."""
    with pytest.raises(Problem) as caught:
        authenticator.authenticate(Headers(headers))
    return caught.value


class TestPrincipal:
    def test_returns_the_owner_of_the_key(self) -> None:
        assert caller_of(Directory(good=MERCHANT).authenticator(), {"x-api-key": "good"}) == MERCHANT

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "api_key_missing"),
            ({"x-api-key": ""}, "api_key_missing"),
            ({"x-api-key": "bad"}, "api_key_invalid"),
            ({"x-api-key": "x" * 10_000}, "api_key_invalid"),
            ({"authorization": "Bearer token"}, "bearer_not_supported"),
            ({"authorization": "bearer token"}, "bearer_not_supported"),
            ({"authorization": "Basic bWU6c2VjcmV0"}, "basic_not_supported"),
            ({"authorization": "BASIC"}, "basic_not_supported"),
            ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, "scheme_not_supported"),
            ({"authorization": "  "}, "api_key_missing"),
        ],
    )
    def test_an_unusable_key_is_a_401_with_a_challenge(self, headers: dict[str, str], code: str) -> None:
        refused = problem(Directory(good=MERCHANT).authenticator(), headers)
        assert (refused.status, refused.code) == (401, code)
        assert refused.headers == {"WWW-Authenticate": 'ApiKey realm="paybridge"'}

    def test_basic_authentication_is_told_what_to_send(self) -> None:
        refused = problem(Directory().authenticator(), {"authorization": "Basic bWU6c2VjcmV0"})
        assert refused.detail == "Basic authentication is not supported. Send the API key in the X-API-Key header."

    def test_a_key_sent_twice_is_told_so(self) -> None:
        refused = problem(Directory(good=MERCHANT).authenticator(), {"x-api-key": "good,good"})
        assert (refused.status, refused.code) == (400, "header_repeated")

    def test_a_key_expires_to_the_second_although_it_is_cached(self) -> None:
        directory = Directory()
        ends_at = directory.now() + timedelta(seconds=1)
        directory.keys[key_hash("short")] = Principal(Role.OPERATOR, None, expires_at=ends_at)
        authenticator = directory.authenticator()
        assert caller_of(authenticator, {"x-api-key": "short"}).role is Role.OPERATOR
        directory.now_seconds += 1
        assert problem(authenticator, {"x-api-key": "short"}).code == "api_key_invalid"
        assert directory.asked == 1

    @pytest.mark.parametrize("takes_any_key", [True, False])
    def test_a_mistyped_key_is_refused_without_a_look_up(self, takes_any_key: bool) -> None:
        api_key = new_api_key()
        directory = Directory(**{api_key: MERCHANT})
        authenticator = directory.authenticator(takes_any_key=takes_any_key)
        mistyped = api_key[:-1] + ("0" if api_key[-1] != "0" else "1")
        assert problem(authenticator, {"x-api-key": mistyped}).code == "api_key_invalid"
        assert directory.asked == 0
        assert caller_of(authenticator, {"x-api-key": api_key}) == MERCHANT

    @pytest.mark.parametrize("garbage", ["x", "good", "pbk_", "pbk_" + "0" * 35, "pbk_" + "0" * 37, "pbk_" + "-" * 36])
    def test_what_has_not_the_form_of_a_key_is_refused_without_a_look_up(self, garbage: str) -> None:
        directory = Directory(**{garbage: MERCHANT})
        assert problem(directory.authenticator(takes_any_key=False), {"x-api-key": garbage}).status == 401
        assert directory.asked == 0

    def test_keys_from_before_there_were_checksums_go_on_working(self) -> None:
        old = f"pbk_{secrets.token_urlsafe(32)}"
        authenticator = Directory(**{old: MERCHANT}).authenticator(takes_any_key=False)
        assert caller_of(authenticator, {"x-api-key": old}) == MERCHANT

    def test_a_registered_key_may_hold_a_comma(self) -> None:
        authenticator = Directory(**{"a,b": MERCHANT}).authenticator()
        assert caller_of(authenticator, {"x-api-key": "a,b"}) == MERCHANT


class TestCache:
    def test_a_known_key_is_cached_and_then_looked_up_again(self) -> None:
        directory = Directory(good=MERCHANT)
        authenticator = directory.authenticator()
        for _ in range(3):
            caller_of(authenticator, {"x-api-key": "good"})
        assert directory.asked == 1
        directory.now_seconds += KNOWN_SECONDS
        directory.keys.clear()
        assert problem(authenticator, {"x-api-key": "good"}).status == 401

    def test_an_unknown_key_is_cached_for_a_shorter_time(self) -> None:
        directory = Directory()
        authenticator = directory.authenticator()
        for _ in range(3):
            problem(authenticator, {"x-api-key": "new"})
        assert directory.asked == 1
        directory.keys[key_hash("new")] = MERCHANT
        directory.now_seconds += UNKNOWN_SECONDS
        assert caller_of(authenticator, {"x-api-key": "new"}) == MERCHANT

    def test_a_flood_of_unknown_keys_does_not_grow_the_cache(self) -> None:
        directory = Directory()
        authenticator = directory.authenticator()
        for number in range(CACHE_KEYS_MAX + 50):
            problem(authenticator, {"x-api-key": f"made-up-{number}"})
        assert len(authenticator._known) == CACHE_KEYS_MAX


_REVOKE = Statement("UPDATE api_keys SET revoked_at = now() WHERE key_hash = :key_hash::bytea")


class TestRevokedKeys:
    """Keys that the store has revoked, asked through the API."""

    def revoked(self, database: Database, *clients: ApiClient) -> str:
        """Register a key, use it by these clients, and revoke it."""
        api_key = f"pbk_{uuid.uuid4().hex}"
        register_merchant(database, name="Short", api_key=api_key, webhook_secret=WEBHOOK_SECRET)
        for client in clients:
            assert client.get("/api/v1/payments", api_key=api_key).status == 200
        database.run(_REVOKE, key_hash=key_hash(api_key))
        return api_key

    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
    def test_a_revoked_key_is_refused(self, client: ApiClient, database: Database, method: str) -> None:
        answer = client.request(method, "/api/v1/payments", api_key=self.revoked(database))
        assert answer.status == 401
        assert method == "HEAD" or answer.json()["code"] == "api_key_invalid"

    def test_a_key_that_is_in_the_cache_is_refused_once_it_expires(
        self, client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("api.callers.KNOWN_SECONDS", 0.3)
        api_key = self.revoked(database, client)
        deadline = time.monotonic() + 10
        while client.get("/api/v1/payments", api_key=api_key).status == 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.get("/api/v1/payments", api_key=api_key).json()["code"] == "api_key_invalid"

    def test_another_environment_never_knew_it(
        self, client: ApiClient, database: Database, database_address: DatabaseAddress
    ) -> None:
        api_key = self.revoked(database, client)
        with closing(Database(database_address)) as connection:
            assert api_client(connection).get("/api/v1/payments", api_key=api_key).status == 401

    def test_the_keys_of_the_same_merchant_are_apart(self, client: ApiClient, database: Database) -> None:
        self.revoked(database, client)
        assert client.get("/api/v1/payments").status == 200

    def test_registering_a_revoked_key_again_does_not_revive_it(self, client: ApiClient, database: Database) -> None:
        api_key = self.revoked(database)
        register_merchant(database, name="Short", api_key=api_key, webhook_secret=WEBHOOK_SECRET)
        assert client.get("/api/v1/payments", api_key=api_key).status == 401
