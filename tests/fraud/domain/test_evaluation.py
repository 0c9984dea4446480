"""The decision follows from the rules that fire, whatever they are."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.fraud.domain.evaluation import evaluate
from paybridge.fraud.domain.reading import read_rules
from paybridge.fraud.domain.rules import (
    Conditions,
    Count,
    Facts,
    FraudRule,
    Per,
    ScreenedPayment,
    Verdict,
    Window,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
# No payment of these tests is in this currency.
ALWAYS, NEVER = Conditions(), Conditions(currency_in=frozenset({"BTN"}))
HOUR = Window(Per.CUSTOMER, 3600)


def payment(**changes: Any) -> ScreenedPayment:
    values: dict[str, Any] = {
        "payment_id": uuid.UUID(int=1),
        "merchant_id": uuid.UUID(int=2),
        "at": NOW,
        "amount_minor": 10_000,
        "currency": "EUR",
        "currency_places": 2,
        "customer": "c",
        "payment_method": "m",
        **changes,
    }
    return ScreenedPayment(**values)


def fires(when: dict[str, Any], facts: Facts | None = None, **changes: Any) -> bool:
    rules, faults = read_rules([{"id": "r", "action": "block", "when": when}])
    assert faults == []
    return evaluate(rules, payment(**changes), facts or Facts({})).decision is Verdict.BLOCK


def counted(number: int, amount_minor: int = 0) -> Facts:
    return Facts({HOUR: Count(number, amount_minor)})


def velocity(**limits: Any) -> dict[str, Any]:
    return {"velocity": {"per": "customer", "window_seconds": 3600, **limits}}


RULES = st.lists(
    st.builds(
        FraudRule,
        id=st.uuids().map(str),
        action=st.sampled_from(Verdict),
        score=st.integers(0, 1000),
        when=st.sampled_from([ALWAYS, NEVER]),
    ),
    max_size=12,
)


class TestEvaluate:
    @given(RULES)
    def test_allow_ends_it_else_the_severest_decides(self, rules: list[FraudRule]) -> None:
        found = evaluate(rules, payment(), Facts({}))
        firing = [rule for rule in rules if rule.when is ALWAYS]
        allowing = [place for place, rule in enumerate(firing) if rule.action is Verdict.ALLOW]
        met = firing[: allowing[0] + 1] if allowing else firing
        actions = {rule.action for rule in met}
        if allowing:
            expected = Verdict.ALLOW
        elif Verdict.BLOCK in actions:
            expected = Verdict.BLOCK
        else:
            expected = Verdict.REVIEW if Verdict.REVIEW in actions else Verdict.ALLOW
        assert found.decision is expected
        assert found.rules == tuple(rule.id for rule in met)
        assert found.score == sum(rule.score for rule in met)

    @given(RULES, st.data())
    def test_rules_that_do_not_fire_change_nothing(self, rules: list[FraudRule], data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(rules)))
        silent = FraudRule("silent", Verdict.BLOCK, 500, NEVER)
        more = [*rules[:place], silent, *rules[place:]]
        assert evaluate(more, payment(), Facts({})) == evaluate(rules, payment(), Facts({}))

    def test_the_view(self) -> None:
        found = evaluate([FraudRule("a", Verdict.REVIEW, 3, ALWAYS)], payment(), Facts({}))
        assert found.view() == {"decision": "review", "score": 3, "rules": ["a"]}


class TestConditions:
    @given(
        st.integers(1, 10**15 - 1),
        st.sampled_from([0, 2, 3, 4]),
        st.decimals("0.0001", "999999999999999", places=4),
    )
    def test_amounts_are_compared_as_decimal_numbers(self, minor: int, places: int, limit: Decimal) -> None:
        amount = Decimal(minor).scaleb(-places)
        is_reached = fires({"amount_gte": f"{limit:f}"}, amount_minor=minor, currency_places=places)
        assert is_reached is (amount >= limit)

    @pytest.mark.parametrize(
        ("when", "changes", "expected"),
        [
            ({"currency_in": ["EUR", "USD"]}, {}, True),
            ({"currency_in": ["USD"]}, {}, False),
            ({"customer_in": ["c"]}, {}, True),
            ({"customer_in": ["d"]}, {}, False),
            ({"customer_in": ["c"]}, {"customer": None}, False),
            ({"payment_method_in": ["m"]}, {}, True),
            ({"payment_method_in": ["m"]}, {"payment_method": None}, False),
            ({"amount_gte": "100"}, {}, True),
            ({"amount_gte": "100.01"}, {}, False),
            ({"amount_gte": "100", "currency_in": ["USD"]}, {}, False),
            ({}, {}, True),
        ],
    )
    def test_all_that_are_named_must_hold(
        self, when: dict[str, Any], changes: dict[str, Any], *, expected: bool
    ) -> None:
        assert fires(when, **changes) is expected

    @pytest.mark.parametrize(
        ("wanted", "known", "expected"),
        [(True, True, True), (True, False, False), (False, False, True), (False, True, False), (True, None, False),
         (False, None, False)],
    )  # fmt: skip
    def test_a_first_seen_customer(self, *, wanted: bool, known: bool | None, expected: bool) -> None:
        assert fires({"first_seen_customer": wanted}, Facts({}, known)) is expected

    @pytest.mark.parametrize(
        ("limits", "facts", "expected"),
        [
            ({"count_gte": 3}, counted(3), True),
            ({"count_gte": 3}, counted(2), False),
            ({"amount_gte": "1.00"}, counted(1, 100), True),
            ({"amount_gte": "1.00"}, counted(9, 99), False),
            ({"count_gte": 3, "amount_gte": "1.00"}, counted(3, 99), False),
            ({"count_gte": 3, "amount_gte": "1.00"}, counted(2, 100), False),
            ({"count_gte": 3, "amount_gte": "1.00"}, counted(3, 100), True),
            ({"count_gte": 1}, Facts({}), False),
        ],
    )
    def test_velocities(self, limits: dict[str, Any], facts: Facts, *, expected: bool) -> None:
        assert fires(velocity(**limits), facts) is expected
