"""Strict reading of a JSON request body.

The standard parser is lenient where money must not be: it takes the last of two equal keys, NaN, numbers beyond any
float, half a surrogate pair and NUL (which PostgreSQL cannot store), and it fails with RecursionError on deep nesting.
Everything that gets through here can be stored and comes back as it was sent.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from api.problems import Problem

BODY_BYTES_MAX: Final = 256 * 1024
NESTING_MAX: Final = 32

_UTF8_BOM: Final = b"\xef\xbb\xbf"
# Strings are matched whole, so that brackets inside them do not count. The closing quote is optional and nothing is
# given back, so that a body of unclosed strings is still read once and not once for every quote.
_STRING_OR_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number as it was written. No field takes one, and keeping the text means that no float is ever made."""

    text: str


def check_content_type(content_type: str | None, content_encoding: str | None = None) -> None:
    """Accepts `application/json`, in UTF-8 if a charset is named, and a missing type; raises Problem (415)."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        raise Problem(415, "content_encoding_unsupported", "Send the body without a content encoding.")
    if content_type is None:
        return
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if media_type != "application/json" or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise Problem(415, "content_type_unsupported", "Send the body as application/json in UTF-8.")


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; numbers come as JsonNumber. Raises Problem (400, 413 or 422)."""
    if len(body) > BODY_BYTES_MAX:
        raise Problem(413, "body_too_large", f"The body must have at most {BODY_BYTES_MAX} bytes.")
    text = _decode(body)
    if _is_too_deep(body):
        raise Problem(400, "json_too_deep", f"The body must nest at most {NESTING_MAX} levels deep.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"The body is not valid JSON at character {error.pos}.") from None
    if not isinstance(value, dict):
        raise Problem(422, "json_not_an_object", "The body must be a JSON object.")
    # NUL and lone surrogates can only be written as escapes: raw ones are refused by the parser and by UTF-8.
    if "\\u" in text:
        _check_storable(value)
    return value


def _decode(body: bytes) -> str:
    if not body:
        raise _invalid("The body is empty; send a JSON object.")
    if body.startswith(_UTF8_BOM):
        raise _invalid("The body starts with a byte order mark; send UTF-8 without one.")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"The body is not valid UTF-8 at byte {error.start}.") from None


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
            raise Problem(400, "json_text_unstorable", "The body contains NUL or half a surrogate pair in a string.")
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
        raise Problem(400, "json_duplicate_key", "The body names a member of an object twice.")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise _invalid("The body contains NaN or Infinity, which are not JSON.")


def _invalid(detail: str) -> Problem:
    return Problem(400, "json_invalid", detail)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_constant=_refuse_constant,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
)
