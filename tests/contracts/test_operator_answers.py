"""What operators are answered is what the OpenAPI document says, member by member."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import date
from typing import Any

import pytest

from local.testkit.api import MERCHANT_KEY, OPERATOR_KEY, ORDER, Answer, ApiClient, demo_merchant_id
from local.testkit.archive import fill_month, payment_id, work
from local.testkit.event_log import log_events
from local.testkit.ledger import MoneyEvents
from local.testkit.payments import new_merchant
from paybridge.audit.nightly import audit_nightly
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.ledger.domain.rules import RULES_VERSION
from paybridge.ledger.post import post_events
from paybridge.ledger.rebuild import start_rebuild
from paybridge.payments.gateway_watch import GatewayWatch
from paybridge.payments.records import OperationOrder
from paybridge.payments.start_attempts import start_attempts
from paybridge.wiring import audit as audit_wiring
from paybridge.wiring.rebuilds import services_over
from tests.support.dead_letters import record_dead
from tests.support.openapi import Contract
from tests.support.scripted_gateway import RecordingGateway, engine_services

pytestmark = pytest.mark.integration

OPS = "/api/v1/ops"
PAYMENTS = "/api/v1/payments"
ARCHIVE = f"{OPS}/archive"
DEAD_LETTERS = f"{OPS}/dead-letters"
CORRECTIONS = f"{OPS}/ledger/corrections"
REBUILDS = f"{OPS}/ledger/rebuilds"
SWITCH = f"{REBUILDS}/{{rebuild_id}}/switch"
BOOKS = f"{OPS}/ledger/books"
ONE_DEAD_LETTER = f"{DEAD_LETTERS}/{{dead_letter_id}}"
_AWAY = Statement("UPDATE archive_months SET state = 'restoring', restored_until = now() + interval '1 day'")
_BACK = Statement("UPDATE archive_months SET state = 'restored', restored_until = now() + interval '1 day'")


@pytest.fixture
def dead_letter_id(database: Database) -> str:
    services = DeadLetterServices(database, SystemClock(), Uuid7Ids())
    return str(record_dead(services, queue="webhooks", reason="unknown type", message_id="m").id)


@pytest.fixture(scope="module")
def archived(client: ApiClient, database_address: DatabaseAddress) -> str:
    """The id of a payment of the demo merchant whose month is archived."""
    month = date(2024, 3, 1)
    with closing(Database(database_address, "tests", 60.0)) as database:
        fill_month(database, demo_merchant_id(database), month, 1)
        assert work(database).archived == 1
        return str(payment_id(database, month, 1))


@pytest.fixture
def held_payment_id(client: ApiClient, database: Database) -> str:
    """A payment that waits for a review."""
    rules = {"rules": [{"id": "all", "action": "review", "score": 5, "when": {}}]}
    assert client.request("PUT", "/api/v1/fraud-rules", body=json.dumps(rules).encode()).status == 200
    payment_id: str = client.create(ORDER).json()["payment_id"]
    order = OperationOrder(uuid.UUID(payment_id), 1)
    start_attempts(engine_services(database, RecordingGateway()), [order], GatewayWatch())
    return payment_id


def get(client: ApiClient, path: str, **options: Any) -> Answer:
    return client.get(path, **{"api_key": OPERATOR_KEY, **options})


def post(client: ApiClient, path: str, body: Any, **options: Any) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json", **options.pop("headers", {})}
    return client.request("POST", path, body=raw, headers=headers, **{"api_key": OPERATOR_KEY, **options})


def check(contract: Contract, method: str, template: str, answer: Answer, status: int) -> None:
    """Assert that the answer has this status and is as documented, without a member more."""
    assert answer.status == status, answer.body
    contract.check(method, template, answer)
    if status < 400:
        responses = contract.document["paths"][template][method.lower()]["responses"]
        schema = responses[str(status)]["content"]["application/json"]["schema"]
        assert list(undocumented(contract, schema, answer.json(), "answer")) == []


def undocumented(contract: Contract, schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
    """Yield the path of each member of the value that the schema does not name."""
    if "$ref" in schema:
        schema = contract.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for option in schema.get("anyOf", ()):
        if option != {"type": "null"} and value is not None:
            yield from undocumented(contract, option, value, path)
    if isinstance(value, list):
        for item in value:
            yield from undocumented(contract, schema.get("items", {}), item, f"{path}[]")
    elif isinstance(value, dict) and "properties" in schema:
        yield from (f"{path}.{name}" for name in value.keys() - schema["properties"].keys())
        for name in value.keys() & schema["properties"].keys():
            yield from undocumented(contract, schema["properties"][name], value[name], f"{path}.{name}")


class TestDeadLetters:
    def test_lists_and_groups(self, client: ApiClient, contract: Contract, dead_letter_id: str) -> None:
        listed = get(client, DEAD_LETTERS, query={"queue": "webhooks", "state": "dead", "limit": "1"})
        assert listed.json()["data"][0]["dead_letter_id"] == dead_letter_id
        check(contract, "GET", DEAD_LETTERS, listed, 200)
        for query, status in (("queue=", 422), ("state=x&fingerprint=x&limit=0&x=1", 422), ("queue=%ff", 400)):
            check(contract, "GET", DEAD_LETTERS, get(client, DEAD_LETTERS, query=query), status)
        check(contract, "GET", DEAD_LETTERS, get(client, DEAD_LETTERS, query={"cursor": "x"}), 422)
        check(contract, "GET", DEAD_LETTERS, get(client, DEAD_LETTERS, api_key=MERCHANT_KEY), 403)
        groups = f"{DEAD_LETTERS}/groups"
        check(contract, "GET", groups, get(client, groups), 200)
        check(contract, "GET", groups, get(client, groups, query={"limit": "1"}), 422)

    def test_one(self, client: ApiClient, contract: Contract, dead_letter_id: str) -> None:
        path = f"{DEAD_LETTERS}/{dead_letter_id}"
        discard = f"{ONE_DEAD_LETTER}/discard"
        check(contract, "POST", discard, post(client, f"{path}/discard", {"note": " "}), 422)
        check(contract, "POST", discard, post(client, f"{path}/discard", {}), 422)
        check(contract, "POST", discard, post(client, f"{path}/discard", b"{"), 400)
        check(contract, "POST", discard, post(client, f"{path}/discard", {"note": "sent"}), 200)
        check(contract, "GET", ONE_DEAD_LETTER, get(client, path), 200)
        check(contract, "GET", ONE_DEAD_LETTER, get(client, f"{DEAD_LETTERS}/x"), 404)

    def test_redrives(self, client: ApiClient, contract: Contract, dead_letter_id: str) -> None:
        template = f"{DEAD_LETTERS}/redrive"
        wanted = {"ids": [dead_letter_id], "rate_per_second": 5}
        key = {"idempotency-key": "redrive"}
        for answer, status in (
            (post(client, template, {**wanted, "dry_run": True}), 202),
            (post(client, template, wanted, headers=key), 202),
            (post(client, template, wanted, headers=key), 202),
            (post(client, template, {"queue": "webhooks"}, headers=key), 422),
            (post(client, template, {"ids": [], "queue": "", "dry_run": 1, "rate_per_second": 0, "x": 1}), 422),
            (post(client, template, {"fingerprint": "x"}), 422),
            (post(client, template, {}), 422),
            (post(client, template, wanted, headers={"idempotency-key": "a b"}), 400),
            (post(client, template, wanted, headers={"content-type": "text/plain"}), 415),
        ):
            check(contract, "POST", template, answer, status)
        wrong = get(client, template)
        assert (wrong.status, wrong.headers["allow"]) == (405, "OPTIONS, POST")
        taken = post(client, f"{DEAD_LETTERS}/{dead_letter_id}/discard", {"note": "late"})
        check(contract, "POST", f"{ONE_DEAD_LETTER}/discard", taken, 409)
        check(contract, "GET", ONE_DEAD_LETTER, get(client, f"{DEAD_LETTERS}/{dead_letter_id}"), 200)


class TestReplays:
    def test_starts_and_changes(self, client: ApiClient, contract: Contract) -> None:
        path, one = f"{OPS}/replays", f"{OPS}/replays/{{replay_id}}"
        wanted = {"consumer": "webhooks", "from": "2026-04-17T00:00:00Z", "rate_per_second": 5}
        check(contract, "POST", path, post(client, path, {**wanted, "types": ["refund.*"], "dry_run": True}), 202)
        for body, status in (({}, 422), (b"{", 400), (b"[]", 422)):
            check(contract, "POST", path, post(client, path, body), status)
        started = post(client, path, wanted)
        check(contract, "POST", path, started, 202)
        replay = f"{path}/{started.json()['replay_id']}"
        for action, status in (("pause", 200), ("resume", 200), ("cancel", 200), ("pause", 409)):
            check(contract, "POST", f"{one}/{action}", post(client, f"{replay}/{action}", b""), status)
        check(contract, "POST", f"{one}/pause", post(client, f"{path}/x/pause", b""), 404)
        check(contract, "GET", one, get(client, replay), 200)
        check(contract, "GET", one, get(client, f"{path}/x"), 404)
        check(contract, "GET", path, get(client, path, query={"limit": "1"}), 200)
        check(contract, "GET", path, get(client, path, query={"limit": "0"}), 422)
        check(contract, "GET", path, get(client, path, api_key=MERCHANT_KEY), 403)


class TestAudit:
    def test_one(self, client: ApiClient, contract: Contract, held_payment_id: str) -> None:
        path = f"{OPS}/outbox/audit"
        check(contract, "GET", path, get(client, path), 200)
        check(contract, "GET", path, get(client, path, query={"grace_seconds": "x"}), 422)
        check(contract, "GET", path, get(client, path, query="from=%ff"), 400)
        check(contract, "GET", path, get(client, path, api_key=MERCHANT_KEY), 403)

    def test_the_last_of_the_nights(self, client: ApiClient, contract: Contract, database: Database) -> None:
        path = f"{OPS}/outbox/audits/last"
        database.run(Statement("DELETE FROM outbox_audits"))
        check(contract, "GET", path, get(client, path), 404)
        audit_nightly(audit_wiring.services_over(database, SystemClock(), frozenset()), Uuid7Ids(), 60.0)
        check(contract, "GET", path, get(client, path), 200)
        check(contract, "GET", path, get(client, path, query="x=%ff"), 400)
        check(contract, "GET", path, get(client, path, api_key=MERCHANT_KEY), 403)


class TestVerification:
    def test_one(self, client: ApiClient, contract: Contract, held_payment_id: str) -> None:
        path = f"{OPS}/verify"
        check(contract, "GET", path, get(client, path), 200)
        check(contract, "GET", path, get(client, path, query={"check": "x"}), 422)
        check(contract, "GET", path, get(client, path, query="check=%ff"), 400)
        check(contract, "GET", path, get(client, path, api_key=MERCHANT_KEY), 403)


class TestReconciliations:
    def test_imports(self, client: ApiClient, contract: Contract) -> None:
        path = f"{OPS}/reconciliations/statements"
        content = contract.document["paths"][path]["post"]["requestBody"]["content"]["text/csv"]
        csv = {"content-type": "text/csv"}
        example, day = content["example"].encode(), {"date": "2026-04-17", "gateway": "default"}
        imported = post(client, path, example, query=day, headers=csv)
        check(contract, "POST", path, imported, 202)
        assert imported.json()["date"] == day["date"]
        for query in (
            {},
            {"date": "x"},
            {"date": "2999-01-01"},
            {**day, "gateway": "-"},
            {**day, "gateway": "x"},
            {**day, "x": "1"},
        ):
            check(contract, "POST", path, post(client, path, example, query=query, headers=csv), 422)
        check(contract, "POST", path, post(client, path, b"id\n", query=day, headers=csv), 422)
        check(contract, "POST", path, post(client, path, example, query="date=%ff", headers=csv), 400)
        check(contract, "POST", path, post(client, path, example, query=day), 415)
        zipped = {**csv, "content-encoding": "gzip"}
        check(contract, "POST", path, post(client, path, example, query=day, headers=zipped), 415)
        refused = post(client, path, example, query=day, headers=csv, api_key=MERCHANT_KEY)
        check(contract, "POST", path, refused, 403)
        wrong = get(client, path)
        assert (wrong.status, wrong.headers["allow"]) == (405, "OPTIONS, POST")
        one = f"{OPS}/reconciliations/{{reconciliation_id}}"
        read = get(client, f"{OPS}/reconciliations/{imported.json()['reconciliation_id']}")
        check(contract, "GET", one, read, 200)

    def test_months_in_the_archive_are_in_the_way(
        self, client: ApiClient, contract: Contract, database: Database, archived: str
    ) -> None:
        database.run(_AWAY)
        path = f"{OPS}/reconciliations"
        refused = post(client, path, {"date": "2024-03-05"})
        check(contract, "POST", path, refused, 409)
        assert refused.json()["code"] == "months_archived"
        day, csv = {"date": "2024-03-05", "gateway": "default"}, {"content-type": "text/csv"}
        path = f"{path}/statements"
        content = contract.document["paths"][path]["post"]["requestBody"]["content"]["text/csv"]["example"].encode()
        check(contract, "POST", path, post(client, path, content, query=day, headers=csv), 409)
        database.run(_BACK)


class TestPayments:
    def test_one(self, client: ApiClient, contract: Contract, held_payment_id: str) -> None:
        template = f"{OPS}/payments/{{payment_id}}"
        check(contract, "GET", template, get(client, f"{OPS}/payments/{held_payment_id}"), 200)
        check(contract, "GET", template, get(client, f"{OPS}/payments/x"), 404)

    def test_reviews(self, client: ApiClient, contract: Contract, held_payment_id: str) -> None:
        path = f"{OPS}/reviews"
        listed = get(client, path, query={"limit": "100"})
        [review] = [each for each in listed.json()["data"] if each["payment_id"] == held_payment_id]
        assert review["review"]["decision"] == "review"
        check(contract, "GET", path, listed, 200)
        for query, status in (("limit=0&x=1", 422), ("cursor=x", 422), ("limit=%ff", 400)):
            check(contract, "GET", path, get(client, path, query=query), status)


class TestArchive:
    def test_months(self, client: ApiClient, contract: Contract, archived: str) -> None:
        check(contract, "GET", ARCHIVE, get(client, ARCHIVE), 200)
        check(contract, "POST", f"{ARCHIVE}/run", post(client, f"{ARCHIVE}/run", b""), 202)
        one, restore = f"{ARCHIVE}/{{month}}", f"{ARCHIVE}/{{month}}/restore"
        check(contract, "GET", one, get(client, f"{ARCHIVE}/2024-03"), 200)
        check(contract, "GET", one, get(client, f"{ARCHIVE}/2020-01"), 404)
        check(contract, "POST", restore, post(client, f"{ARCHIVE}/2024-03/restore", {"days": 0}), 422)
        check(contract, "POST", restore, post(client, f"{ARCHIVE}/2024-03/restore", {"days": 3}), 202)

    def test_archived_payments(self, client: ApiClient, contract: Contract, archived: str) -> None:
        check(contract, "GET", f"{PAYMENTS}/{{payment_id}}", client.get(f"{PAYMENTS}/{archived}"), 410)


class TestCorrections:
    def test_a_journal_is_taken_back_once(self, client: ApiClient, contract: Contract, database: Database) -> None:
        wrong = MoneyEvents(demo_merchant_id(database)).succeeded("1.00")
        payout = MoneyEvents(demo_merchant_id(database)).payout("created", "1.00")
        log_events(database, [wrong, payout])
        post_events(database, [wrong, payout])
        body, one = {"event_id": str(wrong.id), "reason": "twice"}, f"{CORRECTIONS}/{{correction_id}}"
        made = post(client, CORRECTIONS, body, headers={"idempotency-key": "c1"})
        check(contract, "POST", CORRECTIONS, made, 201)
        again = post(client, CORRECTIONS, body, headers={"idempotency-key": "c1"})
        check(contract, "POST", CORRECTIONS, again, 201)
        assert (again.headers["idempotency-replayed"], again.json()) == ("true", made.json())
        for key, changes, status, code in (
            ("c1", {"reason": "other"}, 422, "idempotency_key_reused"),
            ("c2", {}, 409, "journal_corrected"),
            ("c3", {"event_id": str(uuid.uuid4())}, 422, "journal_not_found"),
            ("c5", {"event_id": str(payout.id)}, 422, "journal_of_payout"),
            ("c4", {"event_id": "x", "reason": " ", "x": 1}, 422, "validation_failed"),
            ("", {}, 400, "idempotency_key_missing"),
        ):
            headers = {"idempotency-key": key} if key else {}
            refused = post(client, CORRECTIONS, {**body, **changes}, headers=headers)
            check(contract, "POST", CORRECTIONS, refused, status)
            assert refused.json()["code"] == code
        shown = get(client, made.headers["location"])
        check(contract, "GET", one, shown, 200)
        assert shown.json() == made.json()
        assert shown.json()["created_by"].startswith("operator")
        check(contract, "GET", one, get(client, f"{CORRECTIONS}/x"), 404)
        listed = get(client, CORRECTIONS, query={"limit": "1"})
        check(contract, "GET", CORRECTIONS, listed, 200)
        assert listed.json()["data"] == [made.json()]
        check(contract, "GET", CORRECTIONS, get(client, CORRECTIONS, query={"limit": "0"}), 422)


class TestRebuilds:
    def test_months_in_the_archive_are_in_the_way(
        self, client: ApiClient, contract: Contract, database: Database, archived: str
    ) -> None:
        database.run(_AWAY)
        refused = post(client, REBUILDS, {})
        check(contract, "POST", REBUILDS, refused, 409)
        assert refused.json()["code"] == "months_archived"
        assert "The facts of 2024-03 are archived" in refused.json()["detail"]
        database.run(_BACK)

    def test_a_rebuild_its_switch_and_the_end_of_the_old_book(
        self, client: ApiClient, contract: Contract, database: Database
    ) -> None:
        begun = post(client, REBUILDS, {"switch": False, "wait_seconds": 0, "rules_version": RULES_VERSION})
        check(contract, "POST", REBUILDS, begun, 202)
        assert begun.headers["location"].endswith(begun.json()["rebuild_id"])
        done = get(client, begun.headers["location"])
        check(contract, "GET", f"{REBUILDS}/{{rebuild_id}}", done, 200)
        assert (done.json()["state"], done.json()["equal"]) == ("finished", True)
        check(contract, "GET", REBUILDS, get(client, REBUILDS, query={"limit": "1"}), 200)
        ended = post(client, f"{begun.headers['location']}/cancel", b"")
        check(contract, "POST", f"{REBUILDS}/{{rebuild_id}}/cancel", ended, 409)
        assert ended.json()["code"] == "rebuild_ended"
        switched = post(client, f"{begun.headers['location']}/switch", b"")
        check(contract, "POST", SWITCH, switched, 200)
        listed = get(client, BOOKS)
        check(contract, "GET", BOOKS, listed, 200)
        old, live = (next(b["book"] for b in listed.json()["data"] if b["state"] == s) for s in ("retired", "live"))
        for book, status in ((old, 204), (old, 404), (live, 409), ("x", 404)):
            answer = client.request("DELETE", f"{BOOKS}/{book}", api_key=OPERATOR_KEY)
            assert answer.status == status, answer.body
            if status != 204:
                contract.check("DELETE", f"{BOOKS}/{{book}}", answer)

    def test_a_book_that_differs(self, client: ApiClient, contract: Contract, database: Database) -> None:
        log_events(database, [MoneyEvents(new_merchant(database)).succeeded("1.00")])
        begun = post(client, REBUILDS, {"wait_seconds": 0}).json()
        found = get(client, f"{REBUILDS}/{begun['rebuild_id']}")
        check(contract, "GET", f"{REBUILDS}/{{rebuild_id}}", found, 200)
        assert found.json()["first_difference"]["kind"] == "missing"
        switch = f"{REBUILDS}/{begun['rebuild_id']}/switch"
        refused = post(client, switch, {})
        check(contract, "POST", SWITCH, refused, 409)
        assert refused.json()["code"] == "books_differ"
        accepted = post(client, switch, {"accept_differences": "an outage"})
        check(contract, "POST", SWITCH, accepted, 200)
        assert accepted.json()["switch_reason"] == "an outage"

    def test_what_is_refused(self, client: ApiClient, contract: Contract) -> None:
        for body in ({"switch": "yes"}, {"wait_seconds": -1}, {"rules_version": 99}, {"x": 1}, []):
            check(contract, "POST", REBUILDS, post(client, REBUILDS, body), 422)
        for path in (f"{REBUILDS}/{uuid.uuid4()}", f"{REBUILDS}/x"):
            check(contract, "GET", f"{REBUILDS}/{{rebuild_id}}", get(client, path), 404)
            check(contract, "POST", SWITCH, post(client, f"{path}/switch", {}), 404)
            check(contract, "POST", f"{REBUILDS}/{{rebuild_id}}/cancel", post(client, f"{path}/cancel", b""), 404)
        for body in ({"accept_differences": " "}, {"x": 1}):
            check(contract, "POST", SWITCH, post(client, f"{REBUILDS}/x/switch", body), 422)
        check(contract, "GET", REBUILDS, get(client, REBUILDS, query="limit=0"), 422)

    def test_only_two_may_run(
        self, client: ApiClient, contract: Contract, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services = services_over(database, SystemClock(), Uuid7Ids())
        for _ in range(2):
            start_rebuild(services, actor="test")
        check(contract, "POST", REBUILDS, post(client, REBUILDS, {}), 409)
        for each in get(client, REBUILDS, query={"limit": "2"}).json()["data"]:
            for _ in range(2):
                canceled = post(client, f"{REBUILDS}/{each['rebuild_id']}/cancel", b"")
                check(contract, "POST", f"{REBUILDS}/{{rebuild_id}}/cancel", canceled, 200)
                assert (canceled.json()["state"], canceled.json()["failure"][:12]) == ("failed", "canceled by ")
