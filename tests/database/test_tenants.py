"""Every statement that takes a merchant's id finds nothing with the id of another merchant.

The statements and parameters are those of the plans, over the same rows, so a new statement is tried here as well.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from tests.database.test_plans import MERCHANT, NAMES, SEED_SECONDS_MAX, Rule, connection_of, rules
from tests.support.plans import Planner, statements
from tests.support.seeded_rows import SeededRows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2 * SEED_SECONDS_MAX)]

# These store the id that they are given, and are asked by no merchant.
WRITERS = frozenset({
    "access.store.keys._INSERT",
    "access.store.registration._INSERT_KEY",
    "analytics.store.aggregates.days_statement",
    "analytics.store.cursors._ADD",
    "analytics.store.projection.deliveries_statement",
    "analytics.store.projection.events_statement",
    "fraud.store.counters._LOCK",
    "fraud.store.decisions._ADD",
    "fraud.store.dry_runs._ADD",
    "fraud.store.rule_sets._ADD",
    "ledger.store.accounts._OPEN",
    "ledger.store.journals._POST",
    "ledger.store.payouts._ORDER",
    "notifications.store.notifications._INSERT",
    "outbox.store._INSERT",
    "payments.store.accepted_payments._ACCEPT",
    "payments.store.charges_to_return._ADD",
    "payments.store.late_checks._PLAN",
    "payments.store.operations._ADD",
    "payments.store.attempts._BEGIN",
    "payments.store.reviews._TAKE_KEY",
    "reconciliation.store.breaks._RECORD",
    "webhooks.store.deliveries._INSERT",
    "webhooks.store.endpoints._INSERT",
    "webhooks.store.receivers._NOTE_FAULTS",
    "webhooks.store.recoveries._INSERT",
    "webhooks.store.recoveries._START",
})  # fmt: skip
# The seeded payments belong to these.
MERCHANTS = [f"00000000-0000-4000-8000-{number:012x}" for number in range(1, 41)]
STRANGER = str(uuid.uuid4())


@pytest.fixture(scope="module")
def database(database_address: DatabaseAddress) -> Iterator[Database]:
    with closing(Database(database_address, "tests", SEED_SECONDS_MAX)) as database:
        yield database


@pytest.fixture(scope="module")
def rows(database: Database) -> SeededRows:
    rows = SeededRows(connection_of(database))
    rows.write()
    return rows


@pytest.fixture(scope="module")
def planner(database: Database) -> Planner:
    return Planner(connection_of(database))


def asked_by(rule: Rule, merchant: str) -> dict[str, Any] | None:
    """The parameters of the rule with this merchant's id, None if there is no merchant's id among them."""
    asked = {
        name: merchant if name == "merchant_id" else value.replace(MERCHANT, merchant) if name == "rows" else value
        for name, value in rule.parameters.items()
    }
    return asked if asked != rule.parameters or merchant == MERCHANT else None


def count_found(planner: Planner, statement: Statement, parameters: dict[str, Any]) -> int:
    """How many rows the statement returns or changes."""
    node = planner.explain(statement, parameters)
    found = node["Actual Rows"]
    if node["Node Type"] == "ModifyTable":
        found += sum(child["Actual Rows"] for child in node["Plans"] if child.get("Parent Relationship") == "Outer")
    return round(found)


def uses_with_merchant(rows: SeededRows) -> dict[str, Rule]:
    return {
        use: rule
        for use, rule in rules(rows).items()
        if asked_by(rule, STRANGER) is not None and use.partition(" ")[0] not in WRITERS
    }


def found_by_strangers(planner: Planner, uses: dict[str, Rule]) -> list[str]:
    """The uses in which a merchant without any payments finds something."""
    asked = {use: (rule.of(use), asked_by(rule, STRANGER)) for use, rule in uses.items()}
    return [
        use
        for use, (statement, parameters) in asked.items()
        if parameters and count_found(planner, statement, parameters)
    ]


def is_found_by_an_owner(planner: Planner, uses: dict[str, Rule]) -> bool:
    """Whether there is anything to find in one of the uses, or the statement could find nothing for anybody."""
    asked = ((rule.of(use), asked_by(rule, merchant)) for use, rule in uses.items() for merchant in MERCHANTS)
    return any(count_found(planner, statement, parameters) for statement, parameters in asked if parameters)


@pytest.mark.parametrize("name", NAMES)
def test_a_stranger_finds_nothing(name: str, rows: SeededRows, planner: Planner) -> None:
    uses = {use: rule for use, rule in uses_with_merchant(rows).items() if use.partition(" ")[0] == name}
    assert found_by_strangers(planner, uses) == []
    assert not uses or is_found_by_an_owner(planner, uses)


def test_the_writers_write(rows: SeededRows) -> None:
    found = {use.partition(" ")[0]: rule.of(use) for use, rule in rules(rows).items()}
    assert all("INSERT INTO" in found[name].sql for name in WRITERS)


def test_every_statement_that_takes_a_merchant_is_tried(rows: SeededRows) -> None:
    """The id is a separate parameter, or in the records that the statement gets as JSON."""
    taking = {
        name
        for name, statement in statements().items()
        if "merchant_id" in statement._names or "merchant_id uuid" in statement.sql
    }
    assert len(taking) > len(WRITERS)
    assert taking <= {use.partition(" ")[0] for use in uses_with_merchant(rows)} | WRITERS


def test_a_dropped_check_is_found(rows: SeededRows, planner: Planner) -> None:
    careless = Statement("SELECT id FROM payments WHERE id = :id::uuid AND (merchant_id = :merchant_id::uuid OR true)")
    rule = replace(rules(rows)["payments.store.queries._GET"], statement=careless)
    assert found_by_strangers(planner, {"planted": rule}) == ["planted"]
