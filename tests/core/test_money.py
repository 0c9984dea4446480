"""Money: the table of ISO 4217, strict reading, and the round trip between text and minor units."""

from __future__ import annotations

import re
from decimal import Decimal

import iso4217
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.core.money import EXPONENTS, MINOR_UNITS_MAX, exponent, format_minor, format_places, to_minor

CHARGEABLE = sorted(code for code, places in EXPONENTS.items() if places is not None)
UNCHARGEABLE = sorted(code for code, places in EXPONENTS.items() if places is None)


class TestExponents:
    def test_the_table_is_the_published_standard(self) -> None:
        assert {currency.code: currency.exponent for currency in iso4217.Currency} == EXPONENTS

    @pytest.mark.parametrize(("currency", "places"), [("JPY", 0), ("RUB", 2), ("KWD", 3), ("CLF", 4)])
    def test_known_currencies_have_their_places(self, currency: str, places: int) -> None:
        assert exponent(currency) == places

    @pytest.mark.parametrize("currency", [*UNCHARGEABLE, "", "rub", "RU", "RUBB", "ZZZ", " RUB", "RUB\n", "ＲＵＢ"])
    def test_everything_else_is_refused(self, currency: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            exponent(currency)
        assert (caught.value.code, caught.value.field) == ("currency_unsupported", "currency")


class TestToMinor:
    @pytest.mark.parametrize(
        ("amount", "currency", "minor"),
        [
            ("100.50", "RUB", 10_050),
            ("0.01", "RUB", 1),
            ("1", "JPY", 1),
            ("1.000", "KWD", 1_000),
            ("0.0001", "CLF", 1),
            ("9999999999999.99", "RUB", MINOR_UNITS_MAX),
            ("999999999999999", "JPY", MINOR_UNITS_MAX),
        ],
    )
    def test_reads_exactly_the_places_of_the_currency(self, amount: str, currency: str, minor: int) -> None:
        assert to_minor(amount, currency) == minor

    @pytest.mark.parametrize(
        ("amount", "code"),
        [
            ("", "amount_malformed"),
            (".", "amount_malformed"),
            (".50", "amount_malformed"),
            ("1.", "amount_malformed"),
            ("-1.00", "amount_malformed"),
            ("+1.00", "amount_malformed"),
            ("1e2", "amount_malformed"),
            ("1_0.00", "amount_malformed"),
            ("00.50", "amount_malformed"),
            ("01.00", "amount_malformed"),
            (" 1.00", "amount_malformed"),
            ("1.00\n", "amount_malformed"),
            ("1,00", "amount_malformed"),
            ("1.0.0", "amount_malformed"),
            ("٣.٠٠", "amount_malformed"),
            ("１.００", "amount_malformed"),
            ("NaN", "amount_malformed"),
            ("Infinity", "amount_malformed"),
            ("0x1.00", "amount_malformed"),
            ("1", "amount_places"),
            ("1.0", "amount_places"),
            ("1.000", "amount_places"),
            ("0.00", "amount_not_positive"),
            ("10000000000000.00", "amount_too_large"),
            ("9" * 100_000, "amount_too_large"),
        ],
    )
    def test_refuses_everything_else_with_a_stable_code(self, amount: str, code: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            to_minor(amount, "RUB")
        assert (caught.value.code, caught.value.field) == (code, "amount")

    def test_refuses_a_point_where_the_currency_has_no_places(self) -> None:
        with pytest.raises(InvalidInput, match="no decimal places"):
            to_minor("1.5", "JPY")

    @given(amount=st.text(alphabet="0123456789.+-eE_, ٣", max_size=20), currency=st.sampled_from(CHARGEABLE))
    def test_an_accepted_amount_has_one_spelling(self, amount: str, currency: str) -> None:
        try:
            minor = to_minor(amount, currency)
        except InvalidInput:
            return
        assert format_minor(minor, currency) == amount
        assert type(minor) is int


class TestFormatMinor:
    @given(minor=st.integers(1, MINOR_UNITS_MAX), currency=st.sampled_from(CHARGEABLE))
    def test_is_the_inverse_of_to_minor(self, minor: int, currency: str) -> None:
        text = format_minor(minor, currency)
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", text)
        assert to_minor(text, currency) == minor

    @pytest.mark.parametrize(("currency", "text"), [("JPY", "0"), ("RUB", "0.00"), ("CLF", "0.0000")])
    def test_zero_keeps_its_places(self, currency: str, text: str) -> None:
        assert format_minor(0, currency) == text

    @pytest.mark.parametrize(
        ("currency", "text"), [("BGN", "100.50"), ("HRK", "100.50"), ("ITL", "10050"), ("QQQ", "100.50")]
    )
    def test_a_currency_that_was_withdrawn_is_readable(self, currency: str, text: str) -> None:
        assert format_minor(10050, currency) == text
        with pytest.raises(InvalidInput, match="ISO 4217"):
            to_minor(text, currency)

    @pytest.mark.parametrize("places", range(5))
    def test_the_places_of_a_stored_amount_decide(self, places: int) -> None:
        assert Decimal(format_places(10050, places)) == Decimal(10050).scaleb(-places)

    def test_a_negative_amount_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="never negative"):
            format_minor(-1, "RUB")
