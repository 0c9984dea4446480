"""The database refuses what screening never does: changed rules, counters that fall, second decisions and answers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.testkit.payments import MovableClock, new_merchant
from paybridge.core.errors import ConstraintViolated
from paybridge.core.ids import Uuid7Ids
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.fraud.rules import replace_fraud_rules

pytestmark = pytest.mark.integration

DECISION = """
    INSERT INTO fraud_decisions (payment_id, merchant_id, rule_set_version, decision, score, rules, facts, screened_at,
                                 review_expires_at, answer, actor, answered_at)
    VALUES (:id::uuid, :merchant_id::uuid, 1, {values})
"""
REVIEW = "'review', 0, '[]', '{}', now(), now(), NULL, NULL, NULL"
COUNTER = """
    INSERT INTO fraud_counters (owner_id, digest, count, sums, last_at, kept_until)
    VALUES (:id::uuid, :id::uuid, 2, '{}', now(), now())
"""
DRY_RUN = """
    INSERT INTO fraud_dry_runs (id, merchant_id, rules, counted_from, begin_at, end_at, state, created_at, warm_up,
                                total)
    VALUES (:id::uuid, :merchant_id::uuid, '[]', now(), now(), now() + {span}, '{state}', now(), 0, 0)
"""


@pytest.fixture
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address)) as database:
        yield database


@pytest.fixture
def ids(database: Database) -> dict[str, uuid.UUID]:
    return {"id": Uuid7Ids().new(), "merchant_id": new_merchant(database)}


def run(database: Database, sql: str, ids: dict[str, uuid.UUID]) -> None:
    statement = Statement(sql)
    database.run(statement, **{name: ids[name] for name in statement._names})


def refused_by(database: Database, sql: str, ids: dict[str, uuid.UUID]) -> str:
    with pytest.raises(ConstraintViolated) as refusal:
        run(database, sql, ids)
    return refusal.value.constraint


class TestRuleSets:
    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE fraud_rule_sets SET rules = '[]' WHERE merchant_id = :merchant_id::uuid",
            "DELETE FROM fraud_rule_sets WHERE merchant_id = :merchant_id::uuid",
        ],
    )
    def test_a_version_never_changes(self, database: Database, ids: dict[str, uuid.UUID], sql: str) -> None:
        replace_fraud_rules(database, MovableClock(), ids["merchant_id"], [], "a test")
        assert refused_by(database, sql, ids) == "fraud_rule_sets_stay"

    def test_the_count_is_that_of_the_rules(self, database: Database, ids: dict[str, uuid.UUID]) -> None:
        sql = """
            INSERT INTO fraud_rule_sets (merchant_id, version, rules, rule_count, actor, created_at)
            VALUES (:merchant_id::uuid, 1, '[{}]', 0, 'a', now())
        """
        assert refused_by(database, sql, ids) == "fraud_rule_sets_are_counted"


class TestCounters:
    @pytest.mark.parametrize("change", ["count = 1", "last_at = last_at - interval '1 second'"])
    def test_they_only_grow(self, database: Database, ids: dict[str, uuid.UUID], change: str) -> None:
        run(database, COUNTER, ids)
        sql = f"UPDATE fraud_counters SET {change} WHERE owner_id = :id::uuid"  # noqa: S608
        assert refused_by(database, sql, ids) == "fraud_counters_only_grow"


class TestDecisions:
    @pytest.mark.parametrize(
        ("values", "constraint"),
        [
            ("'maybe', 0, '[]', '{}', now(), NULL, NULL, NULL, NULL", "fraud_decisions_decision_is_known"),
            ("'review', 0, '[]', '{}', now(), NULL, NULL, NULL, NULL", "fraud_decisions_review_expires"),
            ("'allow', 0, '[]', '{}', now(), now(), NULL, NULL, NULL", "fraud_decisions_review_expires"),
            ("'allow', 0, '[]', '{}', now(), NULL, 'approved', 'a', now()", "fraud_decisions_answer_is_to_a_review"),
            ("'review', 0, '[]', '{}', now(), now(), 'approved', NULL, now()", "fraud_decisions_answer_is_whole"),
            ("'review', 0, '[]', '{}', now(), now(), 'shrugged', 'a', now()", "fraud_decisions_answer_is_known"),
        ],
    )
    def test_what_does_not_fit_together(
        self, database: Database, ids: dict[str, uuid.UUID], values: str, constraint: str
    ) -> None:
        assert refused_by(database, DECISION.format(values=values), ids) == constraint

    def test_a_payment_has_one(self, database: Database, ids: dict[str, uuid.UUID]) -> None:
        run(database, DECISION.format(values=REVIEW), ids)
        assert refused_by(database, DECISION.format(values=REVIEW), ids).endswith("_pkey")

    def test_a_review_has_one_answer(self, database: Database, ids: dict[str, uuid.UUID]) -> None:
        run(database, DECISION.format(values=REVIEW), ids)
        sql = """
            UPDATE fraud_decisions SET answer = 'approved', actor = 'a', answered_at = now()
            WHERE payment_id = :id::uuid
        """
        run(database, sql, ids)
        assert refused_by(database, sql, ids) == "fraud_decisions_answered_once"


class TestDryRuns:
    def test_a_merchant_has_one_that_is_running(self, database: Database, ids: dict[str, uuid.UUID]) -> None:
        run(database, DRY_RUN.format(span="interval '0'", state="running"), ids)
        again = {**ids, "id": Uuid7Ids().new()}
        sql = DRY_RUN.format(span="interval '0'", state="running")
        assert refused_by(database, sql, again) == "fraud_dry_runs_running"

    @pytest.mark.parametrize(
        ("span", "state", "constraint"),
        [
            ("interval '-1 day'", "running", "fraud_dry_runs_in_order"),
            ("interval '0'", "finished", "fraud_dry_runs_finished"),
        ],
    )
    def test_what_does_not_fit_together(
        self, database: Database, ids: dict[str, uuid.UUID], span: str, state: str, constraint: str
    ) -> None:
        assert refused_by(database, DRY_RUN.format(span=span, state=state), ids) == constraint
