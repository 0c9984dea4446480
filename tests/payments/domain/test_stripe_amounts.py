"""Amounts in Stripe's own minor units."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.money import EXPONENTS, MINOR_UNITS_MAX
from paybridge.payments.domain.stripe_amounts import AmountRefused, from_stripe, to_stripe

PLACES = {code: places for code, places in EXPONENTS.items() if places is not None}
UNSUPPORTED = {"CLF", "IQD", "LYD", "UYW"}
amounts = st.integers(1, MINOR_UNITS_MAX)
currencies = st.sampled_from(sorted(PLACES.keys() - UNSUPPORTED))


@pytest.mark.parametrize(
    ("currency", "amount_minor", "expected"),
    [
        ("USD", 10050, 10050),
        ("RUB", 1, 1),
        ("JPY", 500, 500),
        ("KRW", 500, 500),
        ("XOF", 500, 500),
        # Whole units that Stripe takes with two decimals, always 00.
        ("ISK", 5, 500),
        ("UGX", 5, 500),
        # Two decimals in ISO 4217, none at Stripe.
        ("MGA", 100_00, 100),
        # Rounded in payouts alone.
        ("HUF", 1045, 1045),
        ("TWD", 80045, 80045),
        ("KWD", 5120, 5120),
        ("BHD", 10, 10),
    ],
)
def test_an_amount_is_in_stripes_units(currency: str, amount_minor: int, expected: int) -> None:
    assert to_stripe(amount_minor, currency, PLACES[currency]) == expected
    assert from_stripe(expected, currency, PLACES[currency]) == amount_minor


@pytest.mark.parametrize(
    ("currency", "amount_minor", "taken"),
    [
        ("KWD", 5124, "three decimals of which the last is 0"),
        ("TND", 1, "three decimals of which the last is 0"),
        ("MGA", 100_50, "whole units"),
    ],
)
def test_what_would_have_to_be_rounded_is_refused(currency: str, amount_minor: int, taken: str) -> None:
    with pytest.raises(AmountRefused, match=taken) as refused:
        to_stripe(amount_minor, currency, PLACES[currency])
    assert refused.value.failure_code == "amount_not_supported"


@pytest.mark.parametrize("currency", sorted(UNSUPPORTED))
def test_a_currency_that_stripe_does_not_have_is_refused(currency: str) -> None:
    with pytest.raises(AmountRefused, match=currency) as refused:
        to_stripe(1000, currency, PLACES[currency])
    assert refused.value.failure_code == "currency_not_supported"
    with pytest.raises(AmountRefused):
        from_stripe(1000, currency, PLACES[currency])


@given(amounts, currencies)
def test_an_amount_comes_back_as_it_was(amount_minor: int, currency: str) -> None:
    try:
        amount = to_stripe(amount_minor, currency, PLACES[currency])
    except AmountRefused:
        assert currency in {"BHD", "JOD", "KWD", "MGA", "OMR", "TND"}
        return
    assert from_stripe(amount, currency, PLACES[currency]) == amount_minor


@given(amounts, currencies, st.integers(0, 4))
def test_the_places_of_a_stored_payment_count_and_not_todays(amount_minor: int, currency: str, places: int) -> None:
    """A payment keeps its places although ISO 4217 changes them: its value at Stripe stays the same."""
    try:
        amount = to_stripe(amount_minor, currency, places)
    except AmountRefused:
        return
    assert amount * 10**places == amount_minor * to_stripe(10 ** PLACES[currency], currency, PLACES[currency])


def test_a_part_of_our_unit_is_no_amount() -> None:
    assert from_stripe(150, "ISK", 0) is None
    assert from_stripe(150, "MGA", 2) == 15000
