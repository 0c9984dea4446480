"""The operators' route of checks, as API Gateway calls it."""

from __future__ import annotations

import pytest

from api.routes.verification import answers
from api.routes.verification.documentation import CHECKS
from local.testkit.api import OPERATOR_KEY, ApiClient, demo_merchant_id
from local.testkit.event_log import log_events
from local.testkit.ledger import MoneyEvents
from paybridge.core.findings import Finding
from paybridge.database.database import Database, Statement
from paybridge.ledger import verify
from paybridge.ledger.ports import RebuildServices
from paybridge.ledger.post import post_events

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/verify"


def test_every_documented_check_is_made(client: ApiClient) -> None:
    answer = client.get(PATH, api_key=OPERATOR_KEY)
    assert answer.status == 200, answer.body
    found = answer.json()
    assert tuple(view["check"] for view in found["data"]) == CHECKS
    assert found["holds"] is True, found
    assert {view["detail"] for view in found["data"]} == {None}


def test_what_is_broken_is_named(client: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    merchant = MoneyEvents(demo_merchant_id(database))
    posted, lost = merchant.succeeded("1.00"), merchant.succeeded("2.00")
    log_events(database, [posted, lost])
    post_events(database, [posted])
    monkeypatch.setattr(verify, "BEHIND_SECONDS_MAX", -60)
    found = client.get(PATH, api_key=OPERATOR_KEY, query={"check": "live_book_equals_log"}).json()
    assert found["holds"] is False
    (view,) = found["data"]
    assert (view["check"], view["holds"]) == ("live_book_equals_log", False)
    assert view["detail"] == f"event {lost.id}: its journal capture is missing"


def test_what_there_was_no_time_for_is_not_checked(client: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "REQUEST_SECONDS_MAX", 0.0)
    found = client.get(PATH, api_key=OPERATOR_KEY).json()
    assert found["holds"] is None
    assert {(view["holds"], view["checked"]) for view in found["data"]} == {(None, 0)}
    assert all("time was over" in view["detail"] for view in found["data"])


def test_a_check_whose_statement_takes_too_long_keeps_no_other_from_its_finding(
    client: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_slowly(services: RebuildServices, full: bool) -> Finding:
        with services.database.transaction() as transaction:
            transaction.run(Statement("SET LOCAL statement_timeout = 100"))
            transaction.run(Statement("SELECT pg_sleep(20)"))
        return Finding(True, 1)

    monkeypatch.setitem(verify.CHECKS, "payouts", check_slowly)
    answer = client.get(PATH, api_key=OPERATOR_KEY)
    assert answer.status == 200, answer.body
    found = {view["check"]: view for view in answer.json()["data"]}
    assert tuple(found) == CHECKS
    assert [name for name, view in found.items() if view["holds"] is None] == ["payouts"]
    assert found["payouts"]["detail"].startswith("not checked: The database cancelled a statement")


def test_wrong_parameters_are_refused(client: ApiClient) -> None:
    answer = client.get(PATH, api_key=OPERATOR_KEY, query={"check": "everything", "full": "true"})
    assert answer.status == 422
    assert sorted((fault["field"], fault["code"]) for fault in answer.json()["errors"]) == [
        ("check", "not_an_option"),
        ("full", "unknown_member"),
    ]
