"""The `Idempotency-Key` header: bare, or a quoted string as RFC 8941 has it. Both spellings name the same key."""

from __future__ import annotations

import re
from typing import Final

from api.problems import Problem

KEY_CHARACTERS_MAX: Final = 255

# sf-string of RFC 8941: printable ASCII, in which only the quotation mark and the backslash are escaped.
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPE: Final = re.compile(r'\\(["\\])')
_VISIBLE: Final = re.compile(r"[!-~]+")


def parse_idempotency_key(header: str | None) -> str:
    """The key named by the header, 1 to 255 visible ASCII characters; raises Problem (400)."""
    if header is None or not header.strip(" \t"):
        raise Problem(
            400, "idempotency_key_missing", "Send an Idempotency-Key header, for example a UUID, with every payment."
        )
    text = header.strip(" \t")
    key = _unquoted(text) if text.startswith('"') else text
    if key is None or not _VISIBLE.fullmatch(key) or len(key) > KEY_CHARACTERS_MAX:
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"The Idempotency-Key must be 1 to {KEY_CHARACTERS_MAX} visible ASCII characters, bare or in quotes.",
        )
    return key


def _unquoted(text: str) -> str | None:
    match = _QUOTED.fullmatch(text)
    return _ESCAPE.sub(r"\1", match.group(1)) if match else None
