"""What may stand in a log."""

from __future__ import annotations

import re

# A card number has at least thirteen digits; the name of a type has no use for anything near that.
NAME_DIGITS_MAX = 8
_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_CARD_LIKE = re.compile(r"\d(?:[ ._-]?\d){12,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def loggable(text: str) -> str:
    """The text as it may stand in a log: a correlation id is chosen by others, and so may hold a card number."""
    return text if _UUID.fullmatch(text) else _CARD_LIKE.sub("[digits]", text)


def loggable_type(event_type: str) -> str:
    """The name of a message type, unless it is something else than a name."""
    is_name = _NAME.fullmatch(event_type) and sum(map(str.isdigit, event_type)) < NAME_DIGITS_MAX
    return event_type if is_name else "[no name]"
