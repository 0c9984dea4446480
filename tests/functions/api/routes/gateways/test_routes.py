"""`POST /gateways/{name}/notices` as a gateway calls it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from api.routes.gateways.routes import BODY_BYTES_MAX
from local.stack.seed import GATEWAY_NOTICES_SECRET
from local.testkit.api import Answer, ApiClient, api_client, event_loop
from paybridge.core.errors import SecretUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.payments.gateways.notices import read_standard_notice
from paybridge.wiring.notices import NoticeReader

pytestmark = pytest.mark.integration

PATH = "/api/v1/gateways/default/notices"
OTHER_SECRET = "whsec_" + "A" * 43 + "="


class GivenSecrets:
    """Signing secrets that the test changes."""

    def __init__(self) -> None:
        self.now = (GATEWAY_NOTICES_SECRET,)
        self.before: tuple[str, ...] = ()
        self.is_away = False

    def kept(self) -> tuple[str, ...]:
        if self.is_away:
            raise SecretUnavailable("Secrets Manager is away.")
        return self.before or self.now

    def changed(self) -> tuple[str, ...]:
        return self.now if self.before else ()


@pytest.fixture
def secrets() -> GivenSecrets:
    return GivenSecrets()


@pytest.fixture
def gateway(database_address: DatabaseAddress, secrets: GivenSecrets) -> Iterator[ApiClient]:
    readers = {"default": NoticeReader(secrets, read_standard_notice)}
    with event_loop(), closing(Database(database_address)) as connection:
        yield api_client(connection, notice_readers=readers)


def post(client: ApiClient, content: Any, id_: str = "", at: datetime | None = None, **headers: str) -> Answer:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    id_, time = id_ or f"ntc_{uuid.uuid4()}", at or datetime.now(UTC)
    signed = {
        "webhook-id": id_,
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": Webhook(GATEWAY_NOTICES_SECRET).sign(id_, time, body.decode()),
        **headers,
    }
    return client.request("POST", PATH, headers=signed, body=body, api_key="")


def stored(database: Database, id_: str) -> list[Any]:
    return database.run(Statement("SELECT gateway, type, outcome FROM gateway_notices WHERE id = :id::text"), id=id_)


def test_a_signed_notice_is_stored_once_without_an_api_key(gateway: ApiClient, database: Database) -> None:
    id_ = f"ntc_{uuid.uuid4()}"
    content = {"type": "charge.succeeded", "data": {"operation_id": str(uuid.uuid4())}}
    for _ in range(2):
        answer = post(gateway, content, id_)
        assert (answer.status, answer.json()) == (200, {"received": True})
    assert stored(database, id_) == [["default", "charge.succeeded", "waiting"]]


@pytest.mark.parametrize(
    "headers",
    [{"webhook-signature": ""}, {"webhook-signature": "v1,AAAA"}, {"webhook-id": "ntc_other"}, {"webhook-id": ""}],
)
def test_a_wrong_signature_is_refused_and_nothing_stored(
    gateway: ApiClient, database: Database, headers: dict[str, str]
) -> None:
    before = database.run(Statement("SELECT count(*) FROM gateway_notices"))
    answer = post(gateway, {"type": "ping"}, **headers)
    assert (answer.status, answer.json()["code"]) == (401, "notice_refused")
    assert database.run(Statement("SELECT count(*) FROM gateway_notices")) == before


def test_a_recording_is_refused(gateway: ApiClient) -> None:
    assert post(gateway, {"type": "ping"}, at=datetime.now(UTC) - timedelta(minutes=10)).status == 401


def test_an_unknown_gateway_is_not_found(gateway: ApiClient) -> None:
    answer = gateway.request("POST", "/api/v1/gateways/unknown/notices", body=b"{}", api_key="")
    assert (answer.status, answer.json()["code"]) == (404, "gateway_not_found")


def test_a_large_body_is_refused_before_its_signature_is_looked_at(gateway: ApiClient) -> None:
    answer = gateway.request("POST", PATH, body=b" " * (BODY_BYTES_MAX + 1), api_key="")
    assert (answer.status, answer.json()["code"]) == (413, "body_too_large")


def test_one_that_cannot_be_read_is_malformed(gateway: ApiClient) -> None:
    answer = post(gateway, b"[]")
    assert (answer.status, answer.json()["code"]) == (400, "notice_malformed")


def test_a_secret_that_was_replaced_is_read_again(gateway: ApiClient, secrets: GivenSecrets) -> None:
    secrets.before = (OTHER_SECRET,)
    assert post(gateway, {"type": "ping"}).status == 200
    secrets.now = (OTHER_SECRET,)
    assert post(gateway, {"type": "ping"}).status == 401


def test_without_the_secret_the_gateway_is_told_to_come_again(gateway: ApiClient, secrets: GivenSecrets) -> None:
    secrets.is_away = True
    answer = post(gateway, {"type": "ping"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_get_is_not_allowed(gateway: ApiClient) -> None:
    assert gateway.get(PATH, api_key="").status == 405


def test_it_is_not_in_the_merchants_document(gateway: ApiClient) -> None:
    assert not any("gateways" in path for path in gateway.get("/openapi.json").json()["paths"])
