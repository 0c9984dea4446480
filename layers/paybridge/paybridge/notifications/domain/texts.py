"""Text from outside, made fit for a header or a line."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "..."
# Controls, line and paragraph separators, and halves of surrogate pairs: what ends a line or a header, or cannot be
# encoded. Format characters are kept, because scripts and emoji need some, except those below.
_BREAKING_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Cs"})
# They turn the rest of a line around, so that it reads differently from what it says.
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def one_line(text: str, characters_max: int) -> str:
    """Return the text as one line of at most `characters_max`, with single spaces and nothing that breaks a line."""
    spaced = "".join(" " if _is_breaking(character) else character for character in text)
    line = " ".join(spaced.split())
    return line if len(line) <= characters_max else f"{line[: characters_max - len(ELLIPSIS)].rstrip()}{ELLIPSIS}"


def _is_breaking(character: str) -> bool:
    return character in _BIDIRECTIONAL or unicodedata.category(character) in _BREAKING_CATEGORIES
