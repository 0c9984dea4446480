"""The operators' route of audits, as API Gateway calls it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from local.testkit.api import OPERATOR_KEY, ApiClient, demo_merchant_id
from local.testkit.payments import captured_payment
from paybridge.audit.nightly import audit_nightly
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database, Statement
from paybridge.wiring import audit as audit_wiring

pytestmark = pytest.mark.integration

PATH = "/api/v1/ops/outbox/audit"


def test_a_change_without_an_event_is_shown(client: ApiClient, database: Database) -> None:
    begin_at = datetime.now(UTC)
    # It has settled, and only its first event was written.
    payment_id = captured_payment(database, demo_merchant_id(database))
    answer = client.get(PATH, api_key=OPERATOR_KEY, query={"from": begin_at.isoformat()})
    assert answer.status == 200, answer.body
    audit = answer.json()
    assert audit["complete"] is True
    assert (audit["checked"], audit["payments"], audit["kinds"]) == (1, 1, {"state_differs": 1})
    assert audit["gaps"] == [
        {
            "kind": "state_differs",
            "subject": {"type": "payment", "id": str(payment_id)},
            "event_id": None,
            "event_type": "payment.created",
            "merchant_id": str(demo_merchant_id(database)),
            "consumer": None,
            "detail": "succeeded, and the last event is payment.created",
        }
    ]


def test_it_is_about_the_last_day_unless_asked(client: ApiClient) -> None:
    audit = client.get(PATH, api_key=OPERATOR_KEY).json()
    begin_at, end_at = (datetime.fromisoformat(audit[name]) for name in ("from", "to"))
    assert end_at - begin_at == timedelta(days=1)
    assert audit["grace_seconds"] == 300


def test_the_last_of_the_nights_is_shown(client: ApiClient, database: Database) -> None:
    database.run(Statement("DELETE FROM outbox_audits"))
    missing = client.get(f"{PATH}s/last", api_key=OPERATOR_KEY)
    assert (missing.status, missing.json()["code"]) == (404, "audit_not_found")
    services = audit_wiring.services_over(database, SystemClock(), frozenset())
    audit = audit_nightly(services, Uuid7Ids(), 60.0).ended
    assert audit is not None
    assert client.get(f"{PATH}s/last", api_key=OPERATOR_KEY).json() == audit.view()


def test_wrong_parameters_are_refused(client: ApiClient) -> None:
    query = {"from": "x", "to": "y", "grace_seconds": "-1", "cursor": "z", "kind": "k"}
    answer = client.get(PATH, api_key=OPERATOR_KEY, query=query)
    assert answer.status == 422
    assert sorted((fault["field"], fault["code"]) for fault in answer.json()["errors"]) == [
        ("cursor", "cursor_invalid"),
        ("from", "time_invalid"),
        ("grace_seconds", "number_invalid"),
        ("kind", "unknown_member"),
        ("to", "time_invalid"),
    ]
    first = client.get(PATH, api_key=OPERATOR_KEY, query={"to": "0001-01-01T00:00:00Z"})
    assert [fault["code"] for fault in first.json()["errors"]] == ["range_invalid"]
    swapped = client.get(
        PATH, api_key=OPERATOR_KEY, query={"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    )
    assert [fault["code"] for fault in swapped.json()["errors"]] == ["range_invalid"]
