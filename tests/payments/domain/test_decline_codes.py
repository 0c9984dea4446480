"""Decline codes of any spelling are one of ours, and stay visible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.decline_codes import (
    CARD_DECLINED,
    FAILURE_CODES,
    GATEWAY_CODE_LENGTH_MAX,
    failure_code_of,
    is_decline_code,
    is_under_way_code,
    shown_code,
)

codes = st.sampled_from(sorted(FAILURE_CODES))


class TestFailureCodeOf:
    @pytest.mark.parametrize(
        ("code", "ours"),
        [
            ("INSUFFICIENT_FUNDS", "insufficient_funds"),
            ("InsufficientFunds", "insufficient_funds"),
            ("not sufficient funds", "insufficient_funds"),
            ("51", "insufficient_funds"),
            ("do-not-honor", "do_not_honor"),
            ("Do Not Honour", "do_not_honor"),
            ("05", "do_not_honor"),
            ("5", "do_not_honor"),
            ("Expired Card", "expired_card"),
            ("card.expired", "expired_card"),
            ("54", "expired_card"),
            ("GENERIC-DECLINE", CARD_DECLINED),
            ("never_heard_of", CARD_DECLINED),
            ("Überzogen", CARD_DECLINED),
            ("a\x00b", CARD_DECLINED),
            ("", CARD_DECLINED),
            (None, CARD_DECLINED),
        ],
    )
    def test_it_knows_the_spellings_of_gateways(self, code: str | None, ours: str) -> None:
        assert failure_code_of(code) == ours

    @given(codes, st.lists(st.sampled_from(["_", "-", " ", ".", "", "  ", "/"]), min_size=5, max_size=5), st.data())
    def test_case_and_separators_make_no_difference(
        self, ours: str, separators: list[str], data: st.DataObject
    ) -> None:
        words = ours.split("_")
        spelled = words[0] + "".join(separators[place] + word for place, word in enumerate(words[1:]))
        cased = "".join(data.draw(st.sampled_from([letter.upper(), letter])) for letter in spelled)
        assert failure_code_of(f" {cased} ") == ours
        assert is_decline_code(cased)

    def test_a_code_without_a_meaning_is_what_the_caller_says(self) -> None:
        assert failure_code_of("never_heard_of", "refund_declined") == "refund_declined"
        assert failure_code_of(None, "refund_declined") == "refund_declined"
        assert failure_code_of("NSF", "refund_declined") == "insufficient_funds"

    @given(st.text())
    def test_every_text_has_one_of_our_codes(self, code: str) -> None:
        assert failure_code_of(code) in FAILURE_CODES


class TestIsUnderWayCode:
    @pytest.mark.parametrize("code", ["request_in_progress", "already processed", "DUPLICATE", "idempotency-conflict"])
    def test_it_knows_words_about_an_earlier_request(self, code: str) -> None:
        assert is_under_way_code(code)

    @pytest.mark.parametrize("code", [*sorted(FAILURE_CODES), "card_locked", "account blocked"])
    def test_a_decline_is_not_taken_for_one(self, code: str) -> None:
        assert not is_under_way_code(code)


class TestShownCode:
    def test_it_is_the_gateways_own_spelling(self) -> None:
        assert shown_code("do-not-honor") == "do-not-honor"

    @given(st.text() | st.none())
    def test_it_is_bounded_and_printable(self, code: str | None) -> None:
        shown = shown_code(code)
        assert shown is None or (0 < len(shown) <= GATEWAY_CODE_LENGTH_MAX and shown.isascii() and shown.isprintable())
