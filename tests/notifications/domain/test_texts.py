"""Text from outside as one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.notifications.domain.texts import one_line


class TestOneLine:
    @given(st.text(), st.integers(min_value=4, max_value=50))
    def test_any_text_becomes_one_line_that_can_be_encoded(self, text: str, length: int) -> None:
        line = one_line(text, length)
        assert len(line) <= length
        assert line.splitlines() in ([], [line])
        line.encode()

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("Acme, Inc.", "Acme, Inc."),
            ("  two \t words ", "two words"),
            ("Acme\r\nBcc: thief@example.com", "Acme Bcc: thief@example.com"),
            ("a\u2028b\u2029c\x85d\x0be", "a b c d e"),
            ("evil\u202egpj.exe", "evil gpj.exe"),
            ("half \ud800 pair", "half pair"),
            ("👨\u200d👩", "👨\u200d👩"),
        ],
    )
    def test_what_breaks_lines_becomes_a_space(self, text: str, line: str) -> None:
        assert one_line(text, 100) == line

    def test_what_is_too_long_is_cut(self) -> None:
        assert one_line("abcdefghij", 8) == "abcde..."
        assert one_line("abcdefgh", 8) == "abcdefgh"
