"""Rate limits and tokens, as callers of the API meet them."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import http_sf
import jwt
import pytest

from local.stack.seed import JWT_AUDIENCE, JWT_ISSUER, JWT_KEY_ID, JWT_SECRET
from local.testkit.api import MERCHANT_KEY, Answer, ApiClient, api_client, demo_merchant_id, event_loop
from local.testkit.valkey_server import running_valkey
from paybridge.access.create_key import KeyCreator, KeyOrder, create_key
from paybridge.access.create_merchant import create_merchant
from paybridge.access.domain.caller import Role
from paybridge.access.domain.merchants import MerchantDetails
from paybridge.access.domain.rate_limit import RateLimit
from paybridge.access.domain.tokens import TokenPolicy
from paybridge.access.identify import CallerDirectory
from paybridge.access.tokens import TokenVerifier, read_static_keys
from paybridge.access.valkey import ValkeyBuckets
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database

pytestmark = pytest.mark.integration

VERIFIER = TokenVerifier(
    TokenPolicy(JWT_ISSUER, JWT_AUDIENCE),
    read_static_keys(json.dumps({"keys": [{"kid": JWT_KEY_ID, "alg": "HS256", "secret": JWT_SECRET}]})),
)
PAYMENTS = "/api/v1/payments"
# A bucket is refilled while requests are sent, by its server's clock. The slowest refill is a token a second, so only a
# machine that needs a second for each of these is never refused.
REQUESTS_MAX = 60


@pytest.fixture(scope="module")
def client(database: Database, database_address: DatabaseAddress) -> Iterator[ApiClient]:
    """Call a function that takes tokens of the local issuer."""
    with event_loop(), closing(Database(database_address)) as connection:
        yield api_client(connection, find_token_verifier=lambda: VERIFIER)


@pytest.fixture(scope="module", params=["in the database", "in Valkey"])
def limited(
    request: pytest.FixtureRequest, database: Database, database_address: DatabaseAddress
) -> Iterator[ApiClient]:
    """Call a function whose buckets are in either place. It takes tokens of the local issuer."""
    is_in_valkey = request.param == "in Valkey"
    buckets = ValkeyBuckets(request.getfixturevalue("valkey_server").url) if is_in_valkey else None
    with event_loop(), closing(Database(database_address)) as connection:
        yield api_client(connection, find_token_verifier=lambda: VERIFIER, buckets=buckets)


def limited_key(database: Database, limit: RateLimit, merchant_limit: RateLimit | None = None) -> str:
    details = MerchantDetails(name="Limited", rate_limit=merchant_limit)
    merchant = create_merchant(database, SystemClock(), Uuid7Ids(), details).merchant
    order = KeyOrder(role=Role.MERCHANT, merchant_id=merchant.id, rate_limit=limit)
    return create_key(database, SystemClock(), Uuid7Ids(), order, created_by=KeyCreator("test")).api_key


def token(**changes: Any) -> str:
    now = int(datetime.now(UTC).timestamp())
    claims = {"iss": JWT_ISSUER, "aud": JWT_AUDIENCE, "sub": "shop", "exp": now + 60, "nbf": now, **changes}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256", headers={"kid": JWT_KEY_ID})


def bearing(client: ApiClient, text: str, path: str = PAYMENTS, method: str = "GET") -> Answer:
    return client.request(method, path, headers={"authorization": f"Bearer {text}"}, api_key="")


def parameters(header: str) -> dict[str, Any]:
    return {name: dict(found) for name, found in http_sf.parse(header.encode(), tltype="list")}


def until_refused(send: Callable[[], Answer], limit: RateLimit) -> list[Answer]:
    """Return the answers up to the first that was refused. Those before were admitted, and no more than the limit."""
    begun_at = time.monotonic()
    answers = [send()]
    while answers[-1].status < 400 and len(answers) < REQUESTS_MAX:
        answers.append(send())
    *admitted, refused = answers
    assert refused.status == 429
    assert 1 <= len(admitted) <= limit.burst + limit.per_second * (time.monotonic() - begun_at)
    return answers


class TestLimits:
    def test_beyond_the_burst_a_caller_is_refused_and_told_when_to_come_back(
        self, limited: ApiClient, database: Database
    ) -> None:
        limit = RateLimit(1, 4)
        key = limited_key(database, limit, RateLimit(100, 100))
        *admitted, refused = until_refused(lambda: limited.get(PAYMENTS, api_key=key), limit)
        assert {answer.status for answer in admitted} == {200}
        assert refused.json()["code"] == "rate_limited"
        assert refused.headers["retry-after"] == "1"
        policies = parameters(refused.headers["ratelimit-policy"])
        assert policies == {"key": {"q": 4, "w": 4}, "merchant": {"q": 100, "w": 1}}
        assert parameters(refused.headers["ratelimit"])["key"]["r"] == 0
        time.sleep(int(refused.headers["retry-after"]))
        assert limited.get(PAYMENTS, api_key=key).status == 200

    def test_a_refused_payment_is_not_created(self, limited: ApiClient, database: Database) -> None:
        limit = RateLimit(1, 4)
        key = limited_key(database, limit)
        *admitted, refused = until_refused(lambda: limited.create(api_key=key), limit)
        assert {answer.status for answer in admitted} == {202}
        time.sleep(int(refused.headers["retry-after"]))
        created = limited.get(PAYMENTS, api_key=key, query={"limit": 100}).json()["data"]
        assert len(created) == len(admitted)

    def test_what_is_left_goes_down(self, limited: ApiClient, database: Database) -> None:
        limit = RateLimit(1, 50)
        key = limited_key(database, limit)
        begun_at = time.monotonic()
        left, refilled = [], []
        for _ in range(40):
            answer = limited.get(PAYMENTS, api_key=key)
            left.append(parameters(answer.headers["ratelimit"])["key"]["r"])
            refilled.append(limit.per_second * (time.monotonic() - begun_at))
        assert all(left[0] - left[sent] >= sent - refilled[sent] for sent in range(40))

    @pytest.mark.parametrize("path", ["/health", "/openapi.json"])
    def test_what_is_public_has_no_limit(self, limited: ApiClient, database: Database, path: str) -> None:
        key = limited_key(database, RateLimit(1, 1))
        answers = [limited.get(path, api_key=key) for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert not any("ratelimit" in answer.headers for answer in answers)

    def test_without_a_limit_no_header_is_sent(self, limited: ApiClient) -> None:
        answer = limited.get(PAYMENTS, api_key=MERCHANT_KEY)
        assert not {"ratelimit", "ratelimit-policy", "retry-after"} & answer.headers.keys()

    def test_a_token_shares_the_limit_of_its_merchant(self, limited: ApiClient, database: Database) -> None:
        limit = RateLimit(1, 4)
        details = MerchantDetails(name="Limited", rate_limit=limit)
        merchant_id = create_merchant(database, SystemClock(), Uuid7Ids(), details).merchant.id
        text = token(role="merchant", merchant_id=str(merchant_id))
        answers = until_refused(lambda: bearing(limited, text), limit)
        assert {answer.status for answer in answers} == {200, 429}
        assert [*parameters(answers[0].headers["ratelimit"])] == ["merchant"]


class TestValkeyOutage:
    def test_limited_callers_get_503_and_others_are_served(
        self, database: Database, database_address: DatabaseAddress, tmp_path: Path
    ) -> None:
        key = limited_key(database, RateLimit(100, 100))
        with (
            running_valkey(tmp_path / "valkey") as server,
            event_loop(),
            closing(Database(database_address)) as connection,
        ):
            client = api_client(connection, buckets=ValkeyBuckets(server.url))
            assert client.get(PAYMENTS, api_key=key).status == 200
            server.stop()
            # The tokens that are left are of the past second.
            time.sleep(1)
            answers = [client.get(PAYMENTS, api_key=key), client.create(api_key=key)]
            assert [answer.status for answer in answers] == [503, 503]
            assert {answer.json()["code"] for answer in answers} == {"service_unavailable"}
            assert {answer.headers["retry-after"] for answer in answers} == {"1"}
            assert client.get(PAYMENTS, api_key=MERCHANT_KEY).status == 200
            server.start()
            assert client.get(PAYMENTS, api_key=key).status == 200


class TestTokens:
    def test_a_merchants_token_is_as_good_as_its_key(self, client: ApiClient, database: Database) -> None:
        text = token(role="merchant", merchant_id=str(demo_merchant_id(database)))
        payment_id = client.create().json()["payment_id"]
        assert bearing(client, text, f"{PAYMENTS}/{payment_id}").status == 200

    @pytest.mark.parametrize(("role", "status"), [("support", 403), ("operator", 200), ("auditor", 200)])
    def test_roles_of_the_staff_are_those_of_the_table(self, client: ApiClient, role: str, status: int) -> None:
        assert bearing(client, token(role=role), "/api/v1/ops/dead-letters").status == status

    def test_what_a_token_does_is_recorded_by_its_subject(self, client: ApiClient) -> None:
        answer = client.request(
            "POST",
            "/api/v1/ops/api-keys",
            headers={"authorization": f"Bearer {token(role='admin', sub='alice')}"},
            body=b'{"role": "support"}',
            api_key="",
        )
        assert answer.status == 201

    @pytest.mark.parametrize(
        "text",
        [
            token(role="merchant", merchant_id=str(uuid.UUID(int=7))),
            token(role="king"),
            token(role="admin", exp=1),
            "nonsense",
            "",
        ],
        ids=["unknown merchant", "unknown role", "expired", "nonsense", "empty"],
    )
    def test_a_token_that_names_no_caller_is_refused(self, client: ApiClient, text: str) -> None:
        answer = bearing(client, text)
        assert (answer.status, answer.json()["code"]) == (401, "token_invalid")
        assert answer.headers["www-authenticate"].startswith('Bearer realm="paybridge"')

    def test_a_missing_credential_names_both_ways(self, client: ApiClient) -> None:
        answer = client.get(PAYMENTS, api_key="")
        assert answer.headers["www-authenticate"] == 'ApiKey realm="paybridge", Bearer realm="paybridge"'

    def test_a_token_sent_twice_is_refused(self, client: ApiClient) -> None:
        twice = f"Bearer {token(role='admin')},Bearer {token(role='admin')}"
        assert client.get(PAYMENTS, headers={"authorization": twice}, api_key="").status in {400, 401}

    def test_without_an_issuer_tokens_are_refused(self, database: Database) -> None:
        assert CallerDirectory(database).buckets is None
        answer = bearing(api_client(database), token(role="admin"))
        assert (answer.status, answer.json()["code"]) == (401, "bearer_not_supported")
