"""The length of an SMS, by its alphabet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.notifications.domain.sms import (
    GSM_7,
    GSM_BASIC,
    GSM_EXTENSION,
    UCS_2,
    alphabet_of,
    fit,
    is_sendable,
    segments_of,
    units_of,
)
from paybridge.notifications.domain.texts import one_line

lines = st.text(max_size=120).map(lambda text: one_line(text, 100))


class TestAlphabetOf:
    def test_it_has_127_characters_beside_the_escape_and_ten_extensions(self) -> None:
        assert (len(GSM_BASIC), len(GSM_EXTENSION)) == (127, 10)
        assert not GSM_BASIC & GSM_EXTENSION

    @pytest.mark.parametrize("text", ["", "Payment of 100.50 EUR: ok", "Ärger über ñ", "{[~]}|^\\€"])
    def test_the_alphabet_of_gsm(self, text: str) -> None:
        assert alphabet_of(text) is GSM_7

    @pytest.mark.parametrize("text", ["Оплата", "支払い", "😀", "ç", "`", "100 ₽", "a\u00a0b", "‘"])
    def test_one_other_character_makes_it_ucs_2(self, text: str) -> None:
        assert alphabet_of(f"Payment {text}") is UCS_2


class TestSegmentsOf:
    @pytest.mark.parametrize(
        ("text", "units", "segments"),
        [
            ("", 0, 1),
            ("a" * 160, 160, 1),
            ("a" * 161, 161, 2),
            ("a" * 306, 306, 2),
            ("a" * 307, 307, 3),
            ("€" * 80, 160, 1),
            ("€" * 80 + "a", 161, 2),
            # 153 septets hold 76 pairs: the last septet of each segment stays empty.
            ("€" * 152, 304, 2),
            ("€" * 153, 306, 3),
            ("я" * 70, 70, 1),
            ("я" * 71, 71, 2),
            ("я" * 134, 134, 2),
            ("я" * 135, 135, 3),
            ("😀" * 35, 70, 1),
            # 67 units hold 33 pairs.
            ("😀" * 66, 132, 2),
            ("😀" * 67, 134, 3),
        ],
    )
    def test_it_counts_units_and_splits_no_character(self, text: str, units: int, segments: int) -> None:
        assert (units_of(text), segments_of(text)) == (units, segments)


class TestFit:
    @given(lines, lines)
    def test_any_text_keeps_to_the_segments_of_its_alphabet(self, name: str, message: str) -> None:
        text = fit(name, message)
        assert is_sendable(text)
        limit = {GSM_7: 160, UCS_2: 134}[alphabet_of(text)]
        assert units_of(text) <= limit

    def test_what_fits_is_left_as_it_is(self) -> None:
        assert fit("Acme", "Payment of 100.50 EUR succeeded.") == "Acme: Payment of 100.50 EUR succeeded."

    def test_the_name_gives_way_to_the_message(self) -> None:
        message = "Payment of 100.50 EUR succeeded. " + "0" * 100
        text = fit("A very long name of a merchant that goes on", message)
        assert text.endswith(message)
        assert text.startswith("A very long name")
        assert "...: Payment" in text
        assert units_of(text) <= 160

    def test_a_message_that_fills_it_leaves_no_name(self) -> None:
        assert fit("Acme", "x" * 160) == "x" * 160

    def test_a_message_that_is_too_long_is_cut(self) -> None:
        assert fit("Acme", "x" * 500) == "x" * 157 + "..."
        assert fit("Acme", "я" * 500) == "я" * 131 + "..."

    def test_a_name_in_another_alphabet_takes_two_segments(self) -> None:
        text = fit("Ромашка", "Payment of 100.50 RUB failed: insufficient_funds. 0197b1a2-0000-7000-8000-000000000001")
        assert text.startswith("Ромашка: Payment")
        assert segments_of(text) == 2
