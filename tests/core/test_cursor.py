"""A cursor decodes for the list that encoded it, and for no other."""

from __future__ import annotations

import contextlib
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.core.cursor import decode_cursor, encode_cursor
from paybridge.core.errors import InvalidInput

IDS = st.uuids()


class TestCursor:
    @given(id_=IDS, scope=st.text(st.characters(exclude_categories=["Cs"])))
    def test_round_trip(self, id_: uuid.UUID, scope: str) -> None:
        assert decode_cursor(encode_cursor(id_, scope), scope) == id_

    @given(id_=IDS, scope=st.text(st.characters(exclude_categories=["Cs"])))
    def test_another_list_refuses_it(self, id_: uuid.UUID, scope: str) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            decode_cursor(encode_cursor(id_, scope), scope + "x")

    @given(id_=IDS, position=st.integers(0, 38), character=st.sampled_from("AZaz09-_=+/ é\x00"))
    def test_a_damaged_one_is_refused(self, id_: uuid.UUID, position: int, character: str) -> None:
        cursor = encode_cursor(id_, "scope")
        damaged = cursor[:position] + character + cursor[position + 1 :]
        if damaged != cursor:
            with pytest.raises(InvalidInput):
                decode_cursor(damaged, "scope")

    def test_spare_bits_of_the_last_character_are_no_second_spelling(self) -> None:
        cursor = encode_cursor(uuid.UUID(int=0), "scope")
        spellings = {cursor[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"}
        accepted = set()
        for spelling in spellings:
            with contextlib.suppress(InvalidInput):
                decode_cursor(spelling, "scope")
                accepted.add(spelling)
        assert accepted == {cursor}

    @pytest.mark.parametrize("cursor", ["", "A", "AAAA", "é", "A" * 39, "A" * 64, "=" * 39])
    def test_a_malformed_one_is_refused(self, cursor: str) -> None:
        with pytest.raises(InvalidInput) as caught:
            decode_cursor(cursor, "scope")
        assert (caught.value.code, caught.value.field) == ("cursor_invalid", "cursor")
