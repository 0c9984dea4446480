"""Which ids of callers may stand in every log and header."""

from __future__ import annotations

import re

_SANE = re.compile(r"[A-Za-z0-9._:\-]{1,128}")
# Thirteen digits in a row may be a card number, and this id goes into every log. No UUID has more than twelve.
_CARD_LIKE = re.compile(r"[0-9]{13}")


def is_safe_id(text: str) -> bool:
    """Tell whether an id that a caller chose is safe in logs and headers."""
    return _SANE.fullmatch(text) is not None and _CARD_LIKE.search(text) is None
