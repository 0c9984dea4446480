"""The ORM rival of `create` accepts payments like our API: three rows, once for each key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from bench.rivals.naive.in_process import naive_client
from local.servers import postgres
from local.testkit import servers
from local.testkit.api import ApiClient, event_loop

pytestmark = pytest.mark.integration

ORDER = {"amount": "100.50", "currency": "RUB", "metadata": {"order_id": "123"}, "webhook_url": "https://example.com/w"}


@pytest.fixture(scope="module")
def url(postgres_server: servers.Postgres) -> Iterator[str]:
    url = postgres_server.fresh_database(migrated=False)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def client(url: str) -> Iterator[ApiClient]:
    with event_loop(), naive_client(url) as client:
        yield client


def _counts(url: str) -> list[int]:
    tables = "(SELECT count(*) FROM payments), (SELECT count(*) FROM idempotency_keys), (SELECT count(*) FROM outbox)"
    with closing(postgres.connect(url)) as connection:
        return list(connection.run(f"SELECT {tables}")[0])


def test_a_payment_is_three_rows(client: ApiClient, url: str) -> None:
    before = _counts(url)
    answer = client.create(ORDER)
    assert answer.status == 202
    assert answer.json()["status"] == "pending"
    assert _counts(url) == [count + 1 for count in before]


def test_the_same_key_gives_the_same_answer_and_no_more_rows(client: ApiClient, url: str) -> None:
    first = client.create(ORDER, key="once")
    before = _counts(url)
    assert client.create(ORDER, key="once").json() == first.json()
    assert client.create({**ORDER, "amount": "7.00"}, key="once").status == 422
    assert _counts(url) == before


def test_a_wrong_api_key_is_refused(client: ApiClient) -> None:
    assert client.create(ORDER, api_key="another").status == 401
