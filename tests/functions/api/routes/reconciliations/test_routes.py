"""Operators reconcile a day, import statements and work on breaks by the API."""

from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.routes.reconciliations import answers
from local.testkit.api import OPERATOR_KEY, Answer, ApiClient
from paybridge.database.database import Database, Statement
from tests.support.breaks import new_break, new_reconciliation

pytestmark = pytest.mark.integration

OPS = "/api/v1/ops"
RUNS = f"{OPS}/reconciliations"
BREAKS = f"{OPS}/reconciliation-breaks"
DAY = (datetime.now(UTC) - timedelta(days=40)).date().isoformat()
HEADER = "id;operation_id;kind;amount;currency;created_at"
ROW = f'ch_1;{uuid.uuid4()};charge;"1,234.50";EUR;{DAY}T12:00:00Z'


def post(client: ApiClient, path: str, body: Any = None) -> Answer:
    return client.request("POST", path, body=json.dumps(body).encode(), api_key=OPERATOR_KEY)


def get(client: ApiClient, path: str, **more: Any) -> Answer:
    return client.request("GET", path, api_key=OPERATOR_KEY, **more)


def import_csv(client: ApiClient, content: bytes, **query: str) -> Answer:
    return client.request(
        "POST",
        f"{RUNS}/statements",
        body=content,
        headers={"content-type": "text/csv; charset=utf-8"},
        query={"date": DAY, **query},
        api_key=OPERATOR_KEY,
    )


class TestReconciliations:
    def test_a_day_is_started_once_and_read(self, client: ApiClient) -> None:
        day = (datetime.now(UTC) - timedelta(days=50)).date().isoformat()
        started = post(client, RUNS, {"date": day})
        again = post(client, RUNS, {"date": day})
        assert (started.status, again.status) == (202, 202)
        view = started.json()
        assert again.json()["reconciliation_id"] == view["reconciliation_id"]
        assert started.headers["location"] == f"{RUNS}/{view['reconciliation_id']}"
        # The statement is read by the function that asks the gateways.
        assert get(client, f"{RUNS}/{view['reconciliation_id']}").json()["state"] == "running"

    def test_a_day_that_is_started_again_has_its_breaks(self, client: ApiClient, database: Database) -> None:
        run = new_reconciliation(database)
        new_break(database, run)
        view = post(client, RUNS, {"date": run.day.isoformat()}).json()
        assert (view["state"], view["passes"], view["breaks"]) == ("running", 2, 1)
        assert view["breaks_by_type"] == {"missing_here": 1}

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({}, "required"),
            ({"date": "2026-13-01"}, "day_invalid"),
            ({"date": 5}, "day_invalid"),
            ({"date": "20260101"}, "day_invalid"),
            ({"date": "2026-W01-4"}, "day_invalid"),
            ({"date": "2999-01-01"}, "time_in_future"),
            ({"date": "0001-01-01"}, "day_invalid"),
            ({"date": "1969-12-31"}, "day_invalid"),
            ({"date": "2026-01-01", "day": 1}, "unknown_member"),
        ],
    )
    def test_a_day_that_is_none(self, client: ApiClient, body: Any, code: str) -> None:
        answer = post(client, RUNS, body)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (422, code)

    def test_an_unknown_field_is_named(self, client: ApiClient) -> None:
        answer = post(client, RUNS, {"date": "2026-01-01", "day": 1})
        assert [error["field"] for error in answer.json()["errors"]] == ["day"]

    def test_the_newest_day_is_listed_first(self, client: ApiClient, database: Database) -> None:
        for _ in range(3):
            new_reconciliation(database)
        first = get(client, RUNS, query={"limit": "2"}).json()
        assert first["has_more"]
        rest = get(client, RUNS, query={"limit": "2", "cursor": first["next_cursor"]}).json()
        days = [view["date"] for view in first["data"] + rest["data"]]
        assert days == sorted(days, reverse=True)
        assert len(set(days)) == len(days)


class TestImport:
    def test_a_statement_is_compared_without_the_gateway(self, client: ApiClient) -> None:
        started = import_csv(client, f"\ufeff{HEADER}\r\n{ROW}\r\n".encode())
        assert started.status == 202, started.json()
        assert started.json()["gateways"] == ["default"]

    @pytest.mark.parametrize(("gateway", "code"), [("defualt", "gateway_unknown"), ("Default", "not_an_option")])
    def test_a_gateway_that_never_was_is_refused(self, client: ApiClient, gateway: str, code: str) -> None:
        answer = import_csv(client, f"{HEADER}\n{ROW}\n".encode(), gateway=gateway)
        (error,) = answer.json()["errors"]
        assert (answer.status, error["field"], error["code"]) == (422, "gateway", code)

    def test_rows_that_cannot_be_read_are_named_and_nothing_is_stored(
        self, client: ApiClient, database: Database
    ) -> None:
        bad = ROW.replace("EUR", "EU")
        answer = import_csv(client, "\n".join([HEADER, ROW, bad, ROW, bad]).encode(), date="2026-02-03")
        assert answer.status == 422
        assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
            ("line 3", "line_invalid"),
            ("line 5", "line_invalid"),
        ]
        stored = Statement("SELECT count(*) FROM gateway_statements WHERE day = '2026-02-03'")
        assert database.run(stored) == [[0]]

    def test_another_type_is_refused(self, client: ApiClient) -> None:
        answer = client.request(
            "POST", f"{RUNS}/statements", body=b"{}", query={"date": DAY}, api_key=OPERATOR_KEY,
            headers={"content-type": "application/json"},
        )  # fmt: skip
        assert (answer.status, answer.json()["code"]) == (415, "content_type_unsupported")


class TestBreaks:
    def test_pages_and_filters(self, client: ApiClient, database: Database) -> None:
        run = new_reconciliation(database)
        ids = [str(new_break(database, run)) for _ in range(3)]
        path = f"{RUNS}/{run.id}/breaks"
        first = get(client, path, query={"limit": "2"}).json()
        rest = get(client, path, query={"limit": "2", "cursor": first["next_cursor"]}).json()
        assert [each["break_id"] for each in first["data"] + rest["data"]] == ids
        assert get(client, path, query={"type": "late"}).json()["data"] == []
        (one, *_) = first["data"]
        assert one["difference"] == {"EUR": "42.00"}
        assert one["gateway"]["amount"] == "42.00"
        assert one["age_seconds"] >= 0

    def test_csv_for_a_spreadsheet(self, client: ApiClient, database: Database) -> None:
        run = new_reconciliation(database)
        id_ = new_break(database, run)
        post(client, f"{BREAKS}/{id_}/explain", {"note": '=HYPERLINK("x"),\n"two"'})
        answer = get(client, f"{RUNS}/{run.id}/breaks", headers={"accept": "text/csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        (row,) = csv.DictReader(io.StringIO(answer.body.decode()))
        assert row["break_id"] == str(id_)
        assert row["difference"] == "EUR 42.00"
        assert row["note"] == '\'=HYPERLINK("x"), "two"'

    def test_csv_leads_to_the_rest_of_the_same_breaks(
        self, client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answers, "CSV_ROWS_MAX", 1)
        run = new_reconciliation(database)
        ids = [str(new_break(database, run)) for _ in range(2)]
        post(client, f"{BREAKS}/{new_break(database, run)}/void", {"note": "None."})
        path: str | None = f"{RUNS}/{run.id}/breaks?state=open&type=missing_here"
        found = []
        while path is not None:
            target, _, query = path.partition("?")
            answer = get(client, target, query=query, headers={"accept": "text/csv"})
            found += [row["break_id"] for row in csv.DictReader(io.StringIO(answer.body.decode()))]
            link = answer.headers.get("link")
            path = None if link is None else link[1 : link.index(">")]
        assert found == ids

    def test_a_break_is_explained_and_resolved_with_who_and_why(self, client: ApiClient, database: Database) -> None:
        path = f"{BREAKS}/{new_break(database)}"
        explained = post(client, f"{path}/explain", {"note": "The bank pays tomorrow."})
        assert (explained.status, explained.json()["state"]) == (200, "explained")
        resolved = post(client, f"{path}/resolve", {"note": "Paid.", "resolution": "force"}).json()
        assert (resolved["state"], resolved["resolution"], resolved["note"]) == ("resolved", "force", "Paid.")
        assert resolved["actor"]
        actions = [(each["action"], each["resolution"]) for each in resolved["actions"]]
        assert actions == [("explain", None), ("resolve", "force")]
        # The same again changes nothing, and another decision is refused.
        assert post(client, f"{path}/resolve", {"note": "Paid.", "resolution": "force"}).json() == resolved
        refused = post(client, f"{path}/void", {"note": "It was none."})
        assert (refused.status, refused.json()["code"]) == (409, "break_closed")

    def test_a_note_is_kept_without_the_white_space_around_it(self, client: ApiClient, database: Database) -> None:
        note = "x" * 500
        answer = post(client, f"{BREAKS}/{new_break(database)}/explain", {"note": f" {note}\n"})
        assert (answer.status, answer.json()["note"]) == (200, note)

    @pytest.mark.parametrize("body", [{}, {"note": ""}, {"note": " "}, {"note": 5}, {"note": "x" * 501}])
    def test_a_decision_needs_a_note(self, client: ApiClient, database: Database, body: Any) -> None:
        answer = post(client, f"{BREAKS}/{new_break(database)}/void", body)
        assert answer.status == 422

    @pytest.mark.parametrize("resolution", ["void", "", {}, [], 0, False])
    def test_a_resolution_is_one_of_two(self, client: ApiClient, database: Database, resolution: Any) -> None:
        body = {"note": "Paid.", "resolution": resolution}
        answer = post(client, f"{BREAKS}/{new_break(database)}/resolve", body)
        assert (answer.status, answer.json()["errors"][0]["code"]) == (422, "not_an_option")

    def test_what_is_not_there(self, client: ApiClient) -> None:
        for path in (f"{RUNS}/x", f"{RUNS}/{uuid.uuid4()}", f"{RUNS}/{uuid.uuid4()}/breaks", f"{BREAKS}/x"):
            assert get(client, path).status == 404
        assert post(client, f"{BREAKS}/{uuid.uuid4()}/void", {"note": "n"}).status == 404
