"""Hostile queries: the list answers with a 4xx problem or with exactly the payments that match."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.testkit.api import ORDER, Answer, ApiClient
from paybridge.payments.domain.payment import Status

PATH = "/api/v1/payments"
PARAMETERS = ("status", "currency", "customer", "created_from", "created_to", "limit", "cursor", "unknown")

HOSTILE_TEXTS = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        ["", "\x00", "\ud800", "0", "-1", "1e9", "٣", "null", "[]", "%", "' OR 1=1 --", "x" * 5_000, "\r\n"]
    ),
    st.sampled_from([str(status) for status in Status]),
    st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    st.tuples(st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59"]), st.integers(-15, 15)).map(
        lambda made: f"{made[0]}{made[1]:+03d}:00"
    ),
)


@pytest.fixture(scope="module")
def payment(client: ApiClient) -> dict[str, Any]:
    """Create the only payment of the customer `hostile`."""
    made: dict[str, Any] = client.create({**ORDER, "customer": "hostile"}).json()
    return made


def ask(client: ApiClient, raw_query: str) -> Answer:
    """Send this query string unchanged and return the answer."""
    return client.get(PATH, query=raw_query)


class TestTimes:
    @pytest.mark.parametrize(
        "moment",
        [
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:59Z",
            "1969-12-31T23:59:59Z",
            "0001-01-01T00:00:00Z",
            "0001-01-01T00:00:00-14:00",
            "0001-01-01T00:00:00%2B14:00",
        ],
    )
    def test_everything_was_created_after_the_distant_past(
        self, client: ApiClient, payment: dict[str, Any], moment: str
    ) -> None:
        assert ask(client, f"customer=hostile&created_from={moment}").json()["data"] == [payment]
        assert ask(client, f"customer=hostile&created_to={moment}").json()["data"] == []

    @pytest.mark.parametrize(
        "moment", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999%2B14:00", "9999-12-31T23:59:59-14:00"]
    )
    def test_nothing_was_created_after_the_distant_future(
        self, client: ApiClient, payment: dict[str, Any], moment: str
    ) -> None:
        assert ask(client, f"customer=hostile&created_from={moment}").json()["data"] == []
        assert ask(client, f"customer=hostile&created_to={moment}").json()["data"] == [payment]

    @pytest.mark.parametrize(
        "moment",
        [
            *("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z"),
            *("2026-01-02T24:00:01Z", "2026-01-02T03:04:05%2B24:00", "2026-01-02T03:04:05%2B99:99", "infinity"),
            *("2026-01-02T24:00:00Z", "2026-01-02T03:60:00Z", "2026-01-02T03:04:61Z", "2026-01-02T03:04:60Z"),
            *("2026-01-02T03:04:05", "2026-01-02T03:04Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05,1Z"),
            *("２026-01-02T03:04:05Z", "now", ""),
        ],
    )
    def test_text_that_is_not_a_time_is_refused(self, client: ApiClient, moment: str) -> None:
        for name in ("created_from", "created_to"):
            answer = ask(client, f"{name}={moment}")
            assert answer.status == 422
            assert [error["field"] for error in answer.json()["errors"]] == [name]

    @pytest.mark.parametrize(
        "moment",
        [
            *("2026-01-02T03:04:05.123456789Z", "2026-01-02t03:04:05z", "2026-01-02T03:04:05.1Z"),
            *("2026-01-02T03:04:05.1234567890123456789%2b03:00", "2026-01-02T03:04:05-00:00"),
            *("2016-12-31T23:59:60Z", "2016-12-31T15:59:60.5-08:00"),
        ],
    )
    def test_every_form_of_the_standard_is_read(self, client: ApiClient, payment: dict[str, Any], moment: str) -> None:
        assert ask(client, f"customer=hostile&created_from={moment}").json()["data"] == [payment]
        assert ask(client, f"customer=hostile&created_to={moment}").json()["data"] == []

    def test_two_spellings_of_one_time_share_a_cursor(self, client: ApiClient, payment: dict[str, Any]) -> None:
        client.create({**ORDER, "customer": "spelling"})
        client.create({**ORDER, "customer": "spelling"})
        first = ask(client, "customer=spelling&limit=1&created_from=2026-01-02T03:04:05Z").json()
        query = f"customer=spelling&limit=1&created_from=2026-01-02T05:04:05%2B02:00&cursor={first['next_cursor']}"
        assert len(ask(client, query).json()["data"]) == 1


class TestQueryStrings:
    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=failed&status=succeeded", "status"),
            ("limit=1&limit=100", "limit"),
            ("customer=a&customer=a", "customer"),
            ("cursor=a&cursor=b", "cursor"),
            ("created_from=2026-01-02T03:04:05Z&created_from=2025-01-02T03:04:05Z", "created_from"),
        ],
    )
    def test_a_repeated_parameter_is_refused(self, client: ApiClient, query: str, field: str) -> None:
        answer = ask(client, query)
        assert answer.status == 422
        assert [error["field"] for error in answer.json()["errors"]] == [field]

    @pytest.mark.parametrize(
        "query", ["customer=%FF", "customer=%ED%A0%80", "customer=%C0%80", "customer=\u00e9", "%FF=1"]
    )
    def test_bytes_that_are_not_text_are_refused(self, client: ApiClient, query: str) -> None:
        answer = ask(client, query)
        assert 400 <= answer.status < 500
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.parametrize("query", ["", "&", "&&", "customer=hostile&", "customer=hostil%65"])
    def test_empty_parts_and_escapes_change_nothing(
        self, client: ApiClient, payment: dict[str, Any], query: str
    ) -> None:
        assert payment in ask(client, query).json()["data"]

    @pytest.mark.parametrize(
        "query", ["status=", "currency=", "customer=", "limit=", "customer", "=x", "a;b=1", "customer[]=x"]
    )
    def test_an_empty_or_unknown_parameter_is_refused(self, client: ApiClient, query: str) -> None:
        assert ask(client, query).status == 422

    def test_an_empty_cursor_is_the_first_page(self, client: ApiClient, payment: dict[str, Any]) -> None:
        first = ask(client, "customer=hostile&limit=1").json()
        assert ask(client, "customer=hostile&limit=1&cursor=").json() == first
        assert ask(client, "customer=hostile&limit=1&cursor").json() == first

    def test_unicode_is_compared_exactly(self, client: ApiClient) -> None:
        made = client.create({**ORDER, "customer": "Zoë 😀 %_\\"}).json()
        assert client.get(PATH, query={"customer": "Zoë 😀 %_\\"}).json()["data"] == [made]
        assert client.get(PATH, query={"customer": "Zoe\u0308 😀 %_\\"}).json()["data"] == []
        assert client.get(PATH, query={"customer": "%"}).json()["data"] == []

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(query=st.dictionaries(st.sampled_from(PARAMETERS), HOSTILE_TEXTS, max_size=4))
    def test_no_query_causes_a_500(self, client: ApiClient, query: dict[str, str]) -> None:
        sendable = {name: text.encode("utf-8", "surrogatepass") for name, text in query.items()}
        answer = client.get(PATH, query=sendable)
        assert answer.status in {200, 400, 422}, json.dumps(query)
