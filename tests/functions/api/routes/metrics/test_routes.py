"""`GET /metrics`, as API Gateway calls it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from aws_lambda_powertools import Logger

from api.app import create_app
from api.handler import ApiHandler
from local.testkit.api import OPERATOR_KEY, ApiClient, api_services, demo_merchant_id
from local.testkit.ledger import MoneyEvents
from paybridge.access.domain.caller import Role
from paybridge.access.new_secrets import new_api_key
from paybridge.access.register import register_merchant
from paybridge.audit.nightly import audit_nightly
from paybridge.core.clock import SystemClock
from paybridge.core.errors import MalformedMessage
from paybridge.core.findings import Finding
from paybridge.core.gaps import GapKind
from paybridge.core.ids import Uuid7Ids
from paybridge.database import counters
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.dead_letters.ports import DeadLetterServices
from paybridge.ledger.correct_journal import CorrectionOrder, correct_journal
from paybridge.ledger.domain.corrections import CorrectionKey
from paybridge.ledger.post import post_events
from paybridge.reconciliation.domain.breaks import BreakType
from paybridge.verification.verify import Check
from paybridge.verification.verify_hourly import verify_next
from paybridge.wiring import audit as audit_wiring
from tests.support.breaks import new_break
from tests.support.dead_letters import record_dead
from tests.support.prometheus import Metric, parse

pytestmark = pytest.mark.integration

SEED_COUNTERS = {
    "payment_processor_messages_consumed_total": counters.MESSAGES_CONSUMED,
    "payment_processor_payments_successful_total": "payment.succeeded",
    "payment_processor_payments_failed_total": "payment.failed",
    "payment_processor_retries_total": "command.process_payment",
}


def scraped(client: ApiClient) -> dict[str, Metric]:
    answer = client.get("/metrics", api_key=OPERATOR_KEY)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return parse(answer.body.decode())


class TestMetrics:
    @pytest.mark.parametrize(("name", "counter"), SEED_COUNTERS.items())
    def test_the_counters_of_a_payment_processor_grow_by_what_is_counted(
        self, client: ApiClient, database: Database, name: str, counter: str
    ) -> None:
        before = scraped(client)[name].samples[frozenset()]
        counters.add_alone(database, {counter: 3})
        after = scraped(client)[name]
        assert (after.kind, after.samples) == ("counter", {frozenset(): before + 3})

    def test_ours_are_there_with_all_their_labels(self, client: ApiClient, database: Database) -> None:
        record_dead(DeadLetterServices(database, SystemClock(), Uuid7Ids()))
        assert client.create().status == 202
        found = scraped(client)
        labels = {
            name: {dict(one).get("status") or dict(one).get("state") for one in m.samples} for name, m in found.items()
        }
        assert labels["paybridge_payments_unsettled"] == {"pending", "processing"}
        assert labels["paybridge_payments_settled_total"] == {"succeeded", "failed", "canceled"}
        assert labels["paybridge_refunds_finished_total"] == {"succeeded", "failed"}
        assert labels["paybridge_webhook_deliveries_finished_total"] == {"delivered", "failed", "gone"}
        assert labels["paybridge_dead_letters"] == {"dead", "redriving", "redriven", "discarded"}
        assert found["paybridge_payments_unsettled"].samples[frozenset({("status", "pending")})] >= 1
        assert found["paybridge_dead_letters"].samples[frozenset({("state", "dead")})] >= 1
        assert found["paybridge_dead_letters_recorded_total"].samples[frozenset()] >= 1
        assert found["paybridge_outbox_due"].samples[frozenset()] >= 1
        assert found["paybridge_outbox_age_seconds"].samples[frozenset()] > 0

    def test_the_books_are_counted_and_their_invariants_shown(self, client: ApiClient, database: Database) -> None:
        journals, transfers = (f"paybridge_ledger_{what}_posted_total" for what in ("journals", "transfers"))
        before, none = scraped(client), frozenset[tuple[str, str]]()
        merchant = MoneyEvents(demo_merchant_id(database))
        batch = [merchant.succeeded("9.00"), merchant.succeeded("3.00", type="capture", authorized="5.00")]
        for _ in range(2):
            post_events(database, batch)
        correct_journal(
            database,
            SystemClock(),
            Uuid7Ids(),
            CorrectionOrder(event_id=batch[1].id, reason="test", actor="test", key=CorrectionKey("m", bytes(32))),
        )
        after = scraped(client)
        assert after[journals].samples[none] - before[journals].samples[none] == 3
        assert after[transfers].samples[none] - before[transfers].samples[none] == 5
        broken = MalformedMessage("odd")

        def cannot(full: bool) -> Finding:
            raise broken

        checks: dict[str, Check] = {"good": lambda _: Finding(True, 1), "bad": cannot}
        for _ in checks:
            assert verify_next(database, SystemClock(), checks) is not None
        shown = scraped(client)["paybridge_invariant_broken"]
        assert shown.samples == {frozenset({("check", "good")}): 0, frozenset({("check", "bad")}): 1}

    def test_open_breaks_are_counted_by_type(self, client: ApiClient, database: Database) -> None:
        new_break(database)
        family = scraped(client)["paybridge_reconciliation_breaks_open"]
        assert {dict(labels)["type"] for labels in family.samples} == set(BreakType)
        assert family.samples[frozenset({("type", "missing_here")})] >= 1
        assert family.samples[frozenset({("type", "duplicate_here")})] == 0

    def test_the_gaps_of_the_last_audit_are_there_by_kind(self, client: ApiClient, database: Database) -> None:
        database.run(Statement("DELETE FROM outbox_audits"))
        assert scraped(client)["paybridge_outbox_gaps"].samples == {}
        audit = audit_nightly(audit_wiring.services_over(database, SystemClock(), frozenset()), Uuid7Ids(), 60.0).ended
        assert audit is not None
        samples = scraped(client)["paybridge_outbox_gaps"].samples
        assert samples == {frozenset({("kind", str(kind))}): audit.page.kinds.get(kind, 0) for kind in GapKind}

    def test_on_the_local_stack_it_is_open(self, client: ApiClient) -> None:
        assert client.get("/metrics", api_key="").status == 200
        assert client.request("HEAD", "/metrics", api_key="").status == 200

    def test_elsewhere_only_operators_may_read_it(self, database_address: DatabaseAddress, database: Database) -> None:
        logger = Logger(service="api", level="CRITICAL")
        with closing(Database(database_address)) as connection:
            services = replace(api_services(connection, None, 20, ""), is_local=False)
            client = ApiClient(ApiHandler(create_app(services, logger), logger))
            assert client.get("/metrics", api_key="").status == 401
            # Elsewhere a key has the form of a key.
            keys = {role: new_api_key() for role in (Role.SUPPORT, Role.OPERATOR)}
            for role, key in keys.items():
                register_merchant(database, name="Staff", api_key=key, role=role)
            assert client.get("/metrics", api_key=keys[Role.SUPPORT]).json()["code"] == "role_not_permitted"
            assert client.get("/metrics", api_key=keys[Role.OPERATOR]).status == 200
