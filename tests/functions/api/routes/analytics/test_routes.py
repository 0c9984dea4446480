"""Figures of days and months through the API function, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from api.routes.analytics import answers, documentation
from local.testkit.api import MERCHANT_KEY, OPERATOR_KEY, OTHER_KEY, Answer, ApiClient, demo_merchant_id
from paybridge.analytics import read_figures
from paybridge.analytics.domain import COLUMNS, MONTH_COLUMNS
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database
from tests.support.analytics import NOON, World

pytestmark = pytest.mark.integration

DAILY, MONTHLY = "/api/v1/analytics/daily", "/api/v1/analytics/monthly"
RANGE = {"from": "2026-03-01", "to": "2026-05-31"}
CSV = {"accept": "text/csv"}


@pytest.fixture(scope="module")
def world(database: Database, database_address: DatabaseAddress) -> Iterator[World]:
    """The demo merchant's figures: three days in two months, the first in two currencies."""
    with closing(Database(database_address)) as own:
        world = World(own, demo_merchant_id(database))
        world.write(
            *world.payment(("succeeded", 2.5)),
            *world.payment(("failed", 1), currency="USD"),
            *world.payment(("succeeded", 1), begin_at=NOON + timedelta(days=1)),
            *world.payment(("canceled", 1), begin_at=NOON + timedelta(days=40)),
        )
        world.update()
        yield world


def get(client: ApiClient, path: str = DAILY, **options: Any) -> Answer:
    query = {**RANGE, **options.pop("query", {})}
    return client.get(path, **{"api_key": MERCHANT_KEY, "query": query, **options})


def fault_of(answer: Answer) -> tuple[str, str]:
    assert answer.status == 422, answer.body
    (fault,) = answer.json()["errors"]
    return fault["field"], fault["code"]


class TestDaily:
    def test_a_merchant_sees_its_days_oldest_first(self, client: ApiClient, world: World) -> None:
        answer = get(client)
        page = answer.json()
        assert (answer.status, page["has_more"], page["next_cursor"]) == (200, False, None)
        assert answer.headers["vary"] == "Accept"
        found = [(day["day"], day["currency"]) for day in page["data"]]
        assert found == [
            ("2026-03-14", "EUR"),
            ("2026-03-14", "USD"),
            ("2026-03-15", "EUR"),
            ("2026-04-23", "EUR"),
        ]
        first = page["data"][0]
        assert tuple(first) == COLUMNS
        assert (first["volume"], first["failure_rate"], first["processing_p95_seconds"]) == ("100.50", 0.0, 2.5)
        assert first["webhook_success_rate"] is None

    def test_pages_follow_each_other(self, client: ApiClient, world: World) -> None:
        days, cursor = [], ""
        while cursor is not None:
            page = get(client, query={"limit": "1", "cursor": cursor}).json()
            days += page["data"]
            cursor = page["next_cursor"]
        assert days == get(client).json()["data"]

    def test_one_currency_and_a_part_of_the_days(self, client: ApiClient, world: World) -> None:
        chosen = get(client, query={"currency": "EUR", "from": "2026-03-15", "to": "2026-03-15"}).json()["data"]
        assert [(day["day"], day["currency"]) for day in chosen] == [("2026-03-15", "EUR")]

    def test_csv_has_every_day(self, client: ApiClient, world: World) -> None:
        answer = get(client, headers=CSV)
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        assert tuple(rows[0]) == COLUMNS
        assert [row["day"] for row in rows] == [day["day"] for day in get(client).json()["data"]]
        assert (rows[0]["volume"], rows[0]["webhook_success_rate"]) == ("100.50", "")

    def test_too_many_rows_of_csv_are_refused(
        self, client: ApiClient, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answers, "CSV_ROWS_MAX", 3)
        assert fault_of(get(client, headers=CSV)) == ("from", "range_invalid")

    def test_a_merchant_sees_no_other(self, client: ApiClient, world: World) -> None:
        named = {"merchant_id": str(world.merchant_id)}
        assert get(client, api_key=OTHER_KEY).json()["data"] == []
        assert get(client, api_key=OTHER_KEY, query=named).json()["data"] == []
        assert get(client, api_key=OTHER_KEY, headers=CSV).body.decode() == ",".join(COLUMNS) + "\r\n"
        assert len(get(client, query=named).json()["data"]) == 4

    def test_staff_see_all_or_one(self, client: ApiClient, world: World) -> None:
        assert len(get(client, api_key=OPERATOR_KEY).json()["data"]) == 4
        one = get(client, api_key=OPERATOR_KEY, query={"merchant_id": str(world.merchant_id)})
        assert len(one.json()["data"]) == 4
        assert get(client, api_key=OPERATOR_KEY, query={"merchant_id": str(uuid.uuid4())}).json()["data"] == []

    def test_without_days_it_is_about_the_last_thirty(self, client: ApiClient, world: World) -> None:
        assert client.get(DAILY, query={}).status == 200
        only_first = client.get(DAILY, query={"to": "2026-03-20"}).json()["data"]
        assert {day["day"] for day in only_first} == {"2026-03-14", "2026-03-15"}

    @pytest.mark.parametrize(
        ("query", "field", "code"),
        [
            ({"from": "2026-02-30"}, "from", "day_invalid"),
            ({"from": "2026-W01-1"}, "from", "day_invalid"),
            ({"to": "tomorrow"}, "to", "day_invalid"),
            ({"to": "2026-02-01"}, "to", "range_invalid"),
            ({"from": "2020-01-01"}, "from", "range_invalid"),
            ({"currency": "eur"}, "currency", "currency_malformed"),
            ({"merchant_id": "x"}, "merchant_id", "text_malformed"),
            ({"first": "2026-01-01"}, "first", "unknown_member"),
        ],
    )
    def test_a_fault_is_named(self, client: ApiClient, query: dict[str, str], field: str, code: str) -> None:
        assert fault_of(get(client, query=query)) == (field, code)

    @pytest.mark.parametrize("cursor", ["x", "20260230-" + "0" * 32 + "-EUR", "20260314-" + "0" * 31 + "-EUR"])
    def test_a_wrong_cursor_is_refused(self, client: ApiClient, cursor: str) -> None:
        answer = get(client, query={"cursor": cursor})
        assert (answer.status, answer.json()["code"]) == (422, "cursor_invalid")

    @pytest.mark.parametrize(
        "days",
        [("0001-01-01", "0001-01-02"), ("9999-12-30", "9999-12-31")],
        ids=["first", "last"],
    )
    @pytest.mark.parametrize("path", [DAILY, MONTHLY])
    def test_the_ends_of_the_calendar_are_days_too(self, client: ApiClient, path: str, days: tuple[str, str]) -> None:
        assert get(client, path, query=dict(zip(("from", "to"), days, strict=True))).json()["data"] == []
        assert client.get(path, query={"to": days[0]}).status == 200
        assert client.get(path, query={"from": days[1]}).status in {200, 422}


class TestMonthly:
    def test_months_are_whole_and_have_no_percentiles(self, client: ApiClient, world: World) -> None:
        # Months that the range touches count whole.
        months = get(client, MONTHLY, query={"from": "2026-03-31", "to": "2026-04-01", "currency": "EUR"}).json()[
            "data"
        ]
        assert [(month["month"], month["payments"], month["canceled"]) for month in months] == [
            ("2026-03", 2, 0),
            ("2026-04", 1, 1),
        ]
        assert tuple(months[0]) == MONTH_COLUMNS

    def test_csv(self, client: ApiClient, world: World) -> None:
        head, *rows = get(client, MONTHLY, headers=CSV).body.decode().split("\r\n")
        assert head == ",".join(MONTH_COLUMNS)
        assert len(rows) == 4

    def test_pages_follow_each_other(self, client: ApiClient, world: World) -> None:
        first = get(client, MONTHLY, query={"limit": "2"}).json()
        rest = get(client, MONTHLY, query={"limit": "2", "cursor": first["next_cursor"]}).json()
        assert [*first["data"], *rest["data"]] == get(client, MONTHLY).json()["data"]


def test_the_documentation_knows_the_limits() -> None:
    assert documentation.DAYS_MAX == read_figures.DAYS_MAX
    assert documentation.DEFAULT_DAYS == read_figures.DEFAULT_DAYS
    assert documentation.CSV_ROWS_MAX == answers.CSV_ROWS_MAX
