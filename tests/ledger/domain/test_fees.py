"""Fees are exact to the minor unit, and never above what was paid."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.access.domain.fees import FeeRule
from paybridge.ledger.domain.fees import fee_minor

percents = st.decimals(0, 100, places=4, allow_nan=False, allow_infinity=False)


class TestFeeMinor:
    @pytest.mark.parametrize(
        ("gross_minor", "percent", "fixed", "fee"),
        [
            (10000, "2.9", "0.30", 320),
            (50, "1", None, 0),
            (150, "1", None, 2),
            (250, "1", None, 2),
            (10, "2.9", "0.30", 10),
            (10**15, "2.9", "0.30", 29 * 10**12 + 30),
        ],
    )
    def test_half_goes_to_even_and_the_gross_is_the_most(
        self, gross_minor: int, percent: str, fixed: str | None, fee: int
    ) -> None:
        rule = FeeRule(percent, None if fixed is None else {"EUR": fixed})
        assert fee_minor(rule, gross_minor, "EUR", 2) == fee

    @given(gross=st.integers(1, 2**63 - 1), percent=percents)
    def test_a_percentage_is_what_exact_fractions_say(self, gross: int, percent: Decimal) -> None:
        exact = Fraction(gross) * Fraction(percent) / 100
        assert fee_minor(FeeRule(str(percent)), gross, "EUR", 2) == min(gross, round(exact))

    @given(gross=st.integers(1, 10**15), percent=percents, fixed=st.integers(0, 10**12), places=st.integers(0, 4))
    def test_it_is_never_below_zero_nor_above_the_gross(
        self, gross: int, percent: Decimal, fixed: int, places: int
    ) -> None:
        rule = FeeRule(str(percent), {"EUR": f"{fixed}.1234"})
        assert 0 <= fee_minor(rule, gross, "EUR", places) <= gross

    def test_only_the_currency_of_the_payment_has_a_fixed_amount(self) -> None:
        rule = FeeRule("0", {"EUR": "0.30", "KWD": "0.125"})
        assert [fee_minor(rule, 1000, "USD", 2), fee_minor(rule, 1000, "KWD", 3)] == [0, 125]

    def test_a_merchant_without_fees_pays_none(self) -> None:
        assert fee_minor(None, 1000, "EUR", 2) == 0
