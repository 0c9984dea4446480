"""Whatever JSON holds, it is read as rules or refused with faults that name fields, and rules read back the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.core.money import EXPONENTS
from paybridge.fraud.domain.fault_codes import CODES
from paybridge.fraud.domain.reading import (
    COUNT_MAX,
    SCORE_MAX,
    WINDOW_SECONDS_MAX,
    read_rules,
    read_stored_rules,
    without_nulls,
)
from paybridge.fraud.domain.rules import FraudRule, Per, RuleSet, Verdict, Window

AMOUNTS = st.from_regex(r"[1-9][0-9]{0,14}(\.[0-9]{1,4})?", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)
CURRENCIES = st.sampled_from(sorted(code for code, places in EXPONENTS.items() if places is not None))


def lists(members: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(members, min_size=1, max_size=4, unique=True)


VELOCITIES = st.fixed_dictionaries(
    {"per": st.sampled_from(list(Per)), "window_seconds": st.integers(1, WINDOW_SECONDS_MAX)},
    optional={"amount_gte": AMOUNTS},
).flatmap(lambda members: st.integers(1, COUNT_MAX).map(lambda count: {**members, "count_gte": count}))
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "amount_gte": AMOUNTS,
        "currency_in": lists(CURRENCIES),
        "customer_in": lists(st.text(min_size=1, max_size=255)),
        "payment_method_in": lists(NAMES),
        "first_seen_customer": st.booleans() | st.none(),
        "velocity": VELOCITIES | st.none(),
    },
)
RULES = st.lists(
    st.fixed_dictionaries(
        {"id": NAMES, "action": st.sampled_from(list(Verdict)), "when": CONDITIONS},
        optional={"score": st.integers(0, SCORE_MAX)},
    ),
    max_size=8,
    unique_by=lambda rule: rule["id"],
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)


@given(RULES)
def test_valid_rules_are_read_and_read_back(members: list[dict[str, Any]]) -> None:
    rules, faults = read_rules(members)
    assert faults == []
    assert [rule.id for rule in rules] == [rule["id"] for rule in members]
    assert read_stored_rules(json.loads(json.dumps(without_nulls(members)))) == rules


@given(ANY_JSON)
def test_nothing_else_is_taken(value: Any) -> None:
    rules, faults = read_rules(value)
    assert {fault.code for fault in faults} <= set(CODES)
    assert faults or all(isinstance(rule, FraudRule) for rule in rules)
    if value != [] and not faults:
        assert isinstance(value, list)


@given(RULES.filter(bool), st.data())
def test_a_member_that_is_broken_is_named(members: list[dict[str, Any]], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(members) - 1))
    name = data.draw(st.sampled_from(["id", "action", "when"]))
    members[place][name] = data.draw(st.integers() | st.booleans() | st.lists(st.none()))
    _, faults = read_rules(members)
    assert f"rules.{place}.{name}" in {fault.field for fault in faults}


def test_a_currency_that_was_withdrawn_goes_on_working_in_stored_rules() -> None:
    rule = {"id": "old", "action": "block", "when": {"currency_in": ["DEM"]}}
    assert [fault.code for fault in read_rules([rule])[1]] == ["currency_unsupported"]
    assert [rule.id for rule in read_stored_rules([rule])] == ["old"]


def test_stored_rules_that_cannot_be_read_are_never_left_out() -> None:
    with pytest.raises(InvalidInput):
        read_stored_rules([{"id": "a", "action": "block", "when": {}}, {"id": "b", "action": "stop", "when": {}}])


def test_a_rule_set_counts_each_window_once() -> None:
    limits = [{"count_gte": 1}, {"count_gte": 2}, {"amount_gte": "1"}]
    members = [
        {"id": f"r{place}", "action": "block", "when": {"velocity": {"per": "customer", "window_seconds": 60, **limit}}}
        for place, limit in enumerate(limits)
    ]
    rule_set = RuleSet(1, read_rules(members)[0])
    assert rule_set.windows == (Window(Per.CUSTOMER, 60),)
    assert rule_set.asks_first_seen is False
