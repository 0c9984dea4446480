"""Archived payments answer 410, and operators restore their month, as API Gateway calls the function."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from local.testkit.api import OPERATOR_KEY, ORDER, OTHER_KEY, Answer, ApiClient, demo_merchant_id
from local.testkit.archive import add_month, add_refund, fill_month, partition, payment_id, work
from paybridge.access.domain.caller import Role
from paybridge.access.register import register_merchant
from paybridge.archive.order import order_run
from paybridge.archive.store.partitions import freeze, unfreeze
from paybridge.database.database import Database, Statement

pytestmark = pytest.mark.integration

OPS = "/api/v1/ops/archive"
PAYMENTS = "/api/v1/payments"
MONTH = date(2024, 3, 1)
WAITING = date(2024, 4, 1)
WHERE = {"month": "2024-03", "location": "payments/2024-03/payments"}
_TAKE_KEY = Statement("""
    INSERT INTO idempotency_keys (merchant_id, operation, key, fingerprint, resource_id, response_status, created_at)
    VALUES (:merchant_id::uuid, 'create_payment', 'old-key', :fingerprint::bytea, :id::uuid, 202, now())
""")
_HOLD = Statement("UPDATE webhook_deliveries SET status = 'pending', finished_at = NULL WHERE payment_id = :id::uuid")


@dataclass(frozen=True)
class Archived:
    """A payment and a refund of an archived month. A later month waits."""

    payment_id: str
    refund_id: str
    unknown_id: str


@pytest.fixture(scope="module")
def archived(database: Database) -> Archived:
    merchant_id = demo_merchant_id(database)
    fill_month(database, merchant_id, MONTH, 3)
    fill_month(database, merchant_id, WAITING, 1)
    database.run(_HOLD, id=payment_id(database, WAITING, 1))
    found = Archived(
        str(payment_id(database, MONTH, 1)), str(add_refund(database, MONTH, 1)), str(payment_id(database, MONTH, 9))
    )
    body = hashlib.sha256(json.dumps(ORDER).encode()).digest()
    database.run(_TAKE_KEY, merchant_id=merchant_id, fingerprint=body, id=found.payment_id)
    assert work(database).archived == 1
    return found


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


def post(client: ApiClient, path: str, body: Any = None, **options: Any) -> Answer:
    raw = None if body is None else json.dumps(body).encode()
    return client.request("POST", f"{OPS}{path}", body=raw, **{"api_key": OPERATOR_KEY, **options})


class TestArchivedPayments:
    @pytest.mark.parametrize("path", ["", "/events", "/stream", "/refunds"])
    def test_reading_one_says_where_it_is(self, client: ApiClient, archived: Archived, path: str) -> None:
        answer = client.get(f"{PAYMENTS}/{archived.payment_id}{path}")
        assert code_of(answer) == (410, "payment_archived")
        assert answer.json()["archive"] == WHERE
        theirs = client.get(f"{PAYMENTS}/{archived.payment_id}{path}", api_key=OTHER_KEY)
        assert code_of(theirs) == (404, "payment_not_found")
        unknown = client.get(f"{PAYMENTS}/{archived.unknown_id}{path}")
        assert code_of(unknown) == (404, "payment_not_found")

    @pytest.mark.parametrize("command", ["refunds", "capture", "cancel"])
    def test_it_takes_no_order(self, client: ApiClient, archived: Archived, command: str) -> None:
        answer = client.order(f"{archived.payment_id}/{command}")
        assert code_of(answer) == (410, "payment_archived")
        assert answer.json()["archive"] == WHERE
        theirs = client.order(f"{archived.payment_id}/{command}", api_key=OTHER_KEY)
        assert code_of(theirs) == (404, "payment_not_found")

    def test_waiting_for_it_ends_at_once(self, client: ApiClient, archived: Archived) -> None:
        answer = client.get(f"{PAYMENTS}/{archived.payment_id}", headers={"prefer": "wait=20"})
        assert code_of(answer) == (410, "payment_archived")

    def test_so_do_its_refunds(self, client: ApiClient, archived: Archived) -> None:
        path = f"/api/v1/refunds/{archived.refund_id}"
        assert code_of(client.get(path)) == (410, "payment_archived")
        assert code_of(client.get(path, api_key=OTHER_KEY)) == (404, "refund_not_found")

    @pytest.mark.parametrize("path", [PAYMENTS, "/api/v1/ops/payments"])
    def test_staff_learn_where_it_is(self, client: ApiClient, archived: Archived, path: str) -> None:
        answer = client.get(f"{path}/{archived.payment_id}", api_key=OPERATOR_KEY)
        assert (answer.status, answer.json()["archive"]) == (410, WHERE)
        unknown = client.get(f"{path}/{archived.unknown_id}", api_key=OPERATOR_KEY)
        assert code_of(unknown) == (404, "payment_not_found")

    def test_lists_just_end(self, client: ApiClient, archived: Archived) -> None:
        listed = client.get(PAYMENTS, query={"limit": "100"}).json()
        assert archived.payment_id not in {payment["payment_id"] for payment in listed["data"]}
        assert listed["has_more"] is False

    def test_its_idempotency_key_stays_taken(self, client: ApiClient, archived: Archived) -> None:
        repeated = client.create(ORDER, key="old-key")
        assert code_of(repeated) == (409, "idempotency_key_expired")
        assert repeated.json()["payment_id"] == archived.payment_id
        assert code_of(client.get(repeated.headers["location"])) == (410, "payment_archived")
        other = client.create({**ORDER, "amount": "1.00"}, key="old-key")
        assert code_of(other) == (422, "idempotency_key_reused")
        assert other.json()["payment_id"] == archived.payment_id


class TestOperators:
    def test_list_and_show_the_months(self, client: ApiClient, archived: Archived) -> None:
        waiting, done = client.get(OPS, api_key=OPERATOR_KEY).json()["data"]
        assert (waiting["month"], waiting["state"], waiting["reason"]) == ("2024-04", "waiting", "1 pending webhooks")
        assert (done["month"], done["state"], done["reason"]) == ("2024-03", "archived", None)
        shown = client.get(f"{OPS}/2024-03", api_key=OPERATOR_KEY).json()
        assert shown == done
        assert {table["state"] for table in shown["tables"]} == {"detached"}

    @pytest.mark.parametrize("month", ["2020-01", "2024-13", "nonsense"])
    def test_an_unknown_month_is_not_found(self, client: ApiClient, archived: Archived, month: str) -> None:
        assert code_of(client.get(f"{OPS}/{month}", api_key=OPERATOR_KEY)) == (404, "month_not_found")
        assert code_of(post(client, f"/{month}/restore")) == (404, "month_not_found")

    def test_a_month_that_waits_is_not_restored(self, client: ApiClient, archived: Archived) -> None:
        assert code_of(post(client, "/2024-04/restore")) == (409, "month_not_archived")

    @pytest.mark.parametrize("days", [0, 367, 1.5, "7", True])
    def test_days_have_bounds(self, client: ApiClient, archived: Archived, days: Any) -> None:
        answer = post(client, "/2024-03/restore", {"days": days})
        assert [error["code"] for error in answer.json()["errors"]] == ["days_invalid"]

    def test_null_days_are_as_if_absent_and_documented(self, client: ApiClient, archived: Archived) -> None:
        assert code_of(post(client, "/2024-04/restore", {"days": None})) == (409, "month_not_archived")
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        assert {"type": "null"} in schemas["RestoreRequest"]["properties"]["days"]["anyOf"]

    def test_other_members_are_refused(self, client: ApiClient, archived: Archived) -> None:
        answer = post(client, "/2024-03/restore", {"day": 1})
        assert [error["code"] for error in answer.json()["errors"]] == ["unknown_member"]

    def test_readers_order_nothing(self, client: ApiClient, archived: Archived, database: Database) -> None:
        key = f"auditor-{uuid.uuid4()}"
        register_merchant(database, name="Auditor", api_key=key, role=Role.AUDITOR)
        assert client.get(OPS, api_key=key).status == 200
        for path in ("/run", "/2024-03/restore"):
            assert code_of(post(client, path, api_key=key)) == (403, "role_not_permitted")
        assert client.get(f"{OPS}/run", api_key=OPERATOR_KEY).status == 405


class TestLooks:
    def test_a_change_of_a_month_that_may_stay_is_refused_for_a_moment(
        self, client: ApiClient, archived: Archived, database: Database
    ) -> None:
        """The function has frozen the month, and may find that it stays."""
        id_, name = payment_id(database, WAITING, 1), partition("payments", WAITING)
        freeze(database, name)
        refused = client.order(f"{id_}/refunds", {"amount": "1.00"}, key="look")
        assert (code_of(refused), refused.headers["retry-after"]) == ((503, "service_unavailable"), "5")
        unfreeze(database, name)


class TestRestoring:
    """The last class: it changes what the others have read."""

    def test_a_restored_month_is_read_as_before_and_changes_nothing(
        self, client: ApiClient, archived: Archived, database: Database
    ) -> None:
        ordered = post(client, "/2024-03/restore", {"days": 3})
        assert (ordered.status, ordered.json()["state"]) == (202, "restoring")
        assert code_of(client.get(f"{PAYMENTS}/{archived.payment_id}")) == (410, "payment_archived")
        assert work(database).restored == 1
        shown = client.get(f"{PAYMENTS}/{archived.payment_id}")
        assert (shown.status, shown.json()["status"]) == (200, "partially_refunded")
        assert client.get(f"/api/v1/refunds/{archived.refund_id}").status == 200
        refused = client.order(f"{archived.payment_id}/refunds", {"amount": "1.00"})
        assert code_of(refused) == (410, "payment_archived")
        assert refused.json()["archive"] == WHERE
        # A second order only keeps it for longer.
        again = post(client, "/2024-03/restore", {"days": 30})
        assert again.json()["state"] == "restored"
        assert again.json()["restored_until"] > ordered.json()["restored_until"]

    def test_a_run_looks_at_waiting_months_again(
        self, client: ApiClient, archived: Archived, database: Database
    ) -> None:
        add_month(database, date(2024, 5, 1))
        assert work(database).begun == 1
        database.run(
            Statement("UPDATE webhook_deliveries SET status = 'failed', finished_at = now() WHERE finished_at IS NULL")
        )
        assert work(database).begun == 0
        answer = post(client, "/run")
        assert (answer.status, len(answer.json()["data"])) == (202, 3)
        assert work(database).begun == 1
        order_run(database)
        assert work(database).begun == 0
