"""What is masked before a text from outside is logged."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from paybridge.observability.redaction import redact, redact_type

# Its digits and hyphens alone would pass for a card number.
CARD_LIKE = UUID("12345678-1234-4234-8234-123456789012")
CARDS = ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "4111.1111.1111.1"]


class TestRedact:
    @given(st.uuids())
    @example(CARD_LIKE)
    def test_a_uuid_stays_as_it_is(self, id_: UUID) -> None:
        assert redact(str(id_)) == str(id_)

    @pytest.mark.parametrize("form", ["e2e-{}", "{}-retry", "shop 7/{}/1", "{0}:{0}", "7-{}"])
    @given(st.uuids())
    @example(CARD_LIKE)
    def test_a_uuid_within_a_longer_id_stays_as_it_is(self, form: str, id_: UUID) -> None:
        assert redact(form.format(id_)) == form.format(id_)

    @pytest.mark.parametrize("card", CARDS)
    @pytest.mark.parametrize("form", ["{}", "x{}y", "order-{}", f"{{}}-{CARD_LIKE}", f"{CARD_LIKE} {{}}", "{0}, {0}"])
    def test_what_may_be_a_card_number_is_masked(self, form: str, card: str) -> None:
        text = redact(form.format(card))
        assert "[digits]" in text
        assert not re.search(r"4111|1111", text)

    @pytest.mark.parametrize("text", [f"1{CARD_LIKE}", f"{CARD_LIKE}1", str(CARD_LIKE).replace("-", "")])
    def test_what_only_resembles_a_uuid_is_masked(self, text: str) -> None:
        assert "[digits]" in redact(text)

    def test_other_texts_stay(self) -> None:
        assert redact("order-2026-000123") == "order-2026-000123"


class TestRedactType:
    def test_a_name_stays(self) -> None:
        assert redact_type("payment.partially_refunded") == "payment.partially_refunded"

    @pytest.mark.parametrize("text", ["", "Payment created", "card.4111111111111111", "x" * 65])
    def test_what_is_no_name_is_not_repeated(self, text: str) -> None:
        assert redact_type(text) == "[no name]"
