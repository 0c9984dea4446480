"""Redact card numbers before a text from outside is logged."""

from __future__ import annotations

import re

MASK = "[digits]"
# A card number has at least thirteen digits. The name of a message type has no use for anything near that.
NAME_DIGITS_MAX = 8
_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_CARD_LIKE = re.compile(r"\d(?:[ ._-]?\d){12,}")
_UUID = re.compile(r"((?<![0-9a-fA-F])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9a-fA-F]))")


def redact(text: str) -> str:
    """Mask what looks like a card number, such as in a correlation id, which callers choose.

    A UUID stays as it is, alone or within a longer id: one in fifty has enough digits in a row to look like a card
    number.
    """
    # The pattern has a group, so every second part is a UUID.
    parts = _UUID.split(text)
    parts[::2] = [_CARD_LIKE.sub(MASK, part) for part in parts[::2]]
    return "".join(parts)


def redact_type(event_type: str) -> str:
    """Return the name of a message type, or a placeholder for a text that is no name."""
    is_name = _NAME.fullmatch(event_type) and sum(map(str.isdigit, event_type)) < NAME_DIGITS_MAX
    return event_type if is_name else "[no name]"
