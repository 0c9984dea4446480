"""Parse a JSON object strictly.

The standard parser is too lenient for money. It takes the last of two equal keys, NaN, numbers beyond any float, half a
surrogate pair and NUL (which PostgreSQL cannot store), and it fails with RecursionError on deep nesting. Every value
that passes here can be stored and comes back as it was sent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from paybridge.core.errors import InvalidInput

BODY_BYTES_MAX = 256 * 1024
NESTING_MAX = 32

_UTF8_BOM = b"\xef\xbb\xbf"
# Match strings whole, so that brackets inside them do not count. The closing quote is optional and the repetition
# possessive, so that a body of unclosed strings is read once and not once for every quote.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number as it was written. Keeping the text means that no float is ever made."""

    text: str


class JsonRefused(InvalidInput):
    """The body is no JSON object that can be stored as it is."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, with numbers as JsonNumber.

    Raises JsonRefused with the code `body_too_large`, `json_invalid`, `json_too_deep`, `json_not_an_object`,
    `json_duplicate_key` or `json_text_unstorable`.
    """
    if len(body) > BODY_BYTES_MAX:
        raise JsonRefused("body_too_large", f"The body is too large. Send at most {BODY_BYTES_MAX} bytes.")
    text = _decode(body)
    if _is_too_deep(body):
        raise JsonRefused("json_too_deep", f"The body is nested too deeply. Nest at most {NESTING_MAX} levels.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"The body is not valid JSON at character offset {error.pos}.") from None
    if not isinstance(value, dict):
        raise JsonRefused("json_not_an_object", "The body must be a JSON object.")
    # NUL and lone surrogates can only come as escapes: the parser and UTF-8 refuse raw ones.
    if "\\u" in text:
        _check_storable(value)
    return value


def _decode(body: bytes) -> str:
    if not body:
        raise _invalid("The body is empty. Send a JSON object.")
    if body.startswith(_UTF8_BOM):
        raise _invalid("The body starts with a byte order mark. Send UTF-8 without one.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not valid UTF-8 at byte offset {error.start}.") from None


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(body):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > NESTING_MAX:
                return True
        elif token in (b"]", b"}"):
            depth -= 1
    return False


def _check_storable(value: Any) -> None:
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            raise JsonRefused("json_text_unstorable", "A string holds NUL or half a surrogate pair. Remove it.")
    elif isinstance(value, dict):
        for key, member in value.items():
            _check_storable(key)
            _check_storable(member)
    elif isinstance(value, list):
        for member in value:
            _check_storable(member)


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise JsonRefused("json_duplicate_key", "An object in the body repeats a key. Send each key once.")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise _invalid("NaN and Infinity are not valid JSON. Remove them from the body.")


def _invalid(detail: str) -> JsonRefused:
    return JsonRefused("json_invalid", detail)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_constant=_refuse_constant,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
)
