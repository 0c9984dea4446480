"""Amounts as JSON numbers are read digit by digit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.errors import InvalidInput
from paybridge.core.money import to_minor
from paybridge.core.strict_json import JsonNumber, parse_object
from paybridge.intake.amounts import NUMBER_CHARACTERS_MAX, amount_text


def minor(text: str, currency: str = "EUR") -> int:
    """Return the minor units of a JSON number."""
    return to_minor(amount_text(JsonNumber(text), currency), currency)


def refusal(text: str, currency: str = "EUR") -> str:
    with pytest.raises(InvalidInput) as caught:
        minor(text, currency)
    return caught.value.code


class TestAmountText:
    @given(st.integers(1, 999_999_999_999_999), st.sampled_from([("JPY", 0), ("EUR", 2), ("KWD", 3), ("CLF", 4)]))
    def test_every_amount_that_can_be_paid_is_read_exactly(self, units: int, currency: tuple[str, int]) -> None:
        code, places = currency
        number = Decimal(units).scaleb(-places)
        spellings = {str(number), str(number.normalize()), format(number, "f"), f"{units}e-{places}"}
        assert {minor(text, code) for text in spellings} == {units}

    @pytest.mark.parametrize(
        ("text", "units"),
        [("150.0", 15000), ("49.5", 4950), ("100", 10000), ("1e2", 10000), ("1.50E+1", 1500), ("0.01000", 1)],
    )
    def test_what_json_libraries_write_is_read(self, text: str, units: int) -> None:
        assert minor(text) == units

    def test_digits_that_a_float_would_lose_are_kept(self) -> None:
        assert minor("9007199254740.93") == 900719925474093
        members = parse_object(b'{"amount": 9007199254740.93}')
        assert to_minor(amount_text(members["amount"], "EUR"), "EUR") == 900719925474093

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("0.001", "amount_places"),
            ("100.505", "amount_places"),
            ("1e-3", "amount_places"),
            ("0", "amount_not_positive"),
            ("0e999999999", "amount_not_positive"),
            ("-1", "amount_malformed"),
            ("-0.0", "amount_not_positive"),
            ("1e16", "amount_too_large"),
            ("1e999999999", "amount_too_large"),
            ("1e-999999999", "amount_malformed"),
            ("1" * (NUMBER_CHARACTERS_MAX + 1), "amount_malformed"),
        ],
    )
    def test_what_cannot_be_paid_is_refused(self, text: str, code: str) -> None:
        assert refusal(text) == code

    def test_half_a_yen_is_refused(self) -> None:
        assert refusal("100.5", "JPY") == "amount_places"

    @pytest.mark.parametrize("amount", ["100.50", "49.5", True, None, [1], {"a": 1}])
    def test_what_is_no_number_stays_as_it_is(self, amount: Any) -> None:
        assert amount_text(amount, "EUR") is amount

    @pytest.mark.parametrize("currency", [None, 7, ["EUR"], "XXX", "eur", ""])
    def test_a_number_without_a_usable_currency_is_written_in_full(self, currency: Any) -> None:
        assert amount_text(JsonNumber("1.5e1"), currency) == "15"

    @given(st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,12})?", fullmatch=True))
    def test_no_number_does_anything_but_convert_or_be_refused(self, text: str) -> None:
        assert json.loads(f"[{text}]") is not None
        try:
            units = minor(text)
        except InvalidInput:
            return
        assert Decimal(units) == Decimal(text) * 100
