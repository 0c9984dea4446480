"""Parse a JSON request body strictly.

The standard parser is too lenient for money. It takes the last of two equal keys, NaN, numbers beyond any float, half a
surrogate pair and NUL (which PostgreSQL cannot store), and it fails with RecursionError on deep nesting. Every value
that passes here can be stored and comes back as it was sent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from api.problems import Problem
from api.request.headers import header_repeated

BODY_BYTES_MAX = 256 * 1024
NESTING_MAX = 32

_UTF8_BOM = b"\xef\xbb\xbf"
# Match strings whole, so that brackets inside them do not count. The closing quote is optional and the repetition
# possessive, so that a body of unclosed strings is read once and not once for every quote.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number as it was written. No field takes one. Keeping the text means that no float is ever made."""

    text: str


def check_content_type(content_type: str | None, content_encoding: str | None = None) -> None:
    """Accept a missing type and `application/json`, in UTF-8 if a charset is named. Raises Problem (400, 415)."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        raise Problem(
            415, "content_encoding_unsupported", "The content encoding is not supported. Send the body uncompressed."
        )
    if content_type is None:
        return
    if "," in content_type:
        raise header_repeated("Content-Type")
    media_type, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip('"') for name, _, value in (p.partition("=") for p in parameters) if name == "charset"]
    if media_type != "application/json" or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise Problem(
            415,
            "content_type_unsupported",
            "The content type is not supported. Send the body as application/json in UTF-8.",
        )


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, with numbers as JsonNumber. Raises Problem (400, 413 or 422)."""
    if len(body) > BODY_BYTES_MAX:
        raise Problem(413, "body_too_large", f"The body is too large. Send at most {BODY_BYTES_MAX} bytes.")
    text = _decode(body)
    if _is_too_deep(body):
        raise Problem(400, "json_too_deep", f"The body is nested too deeply. Nest at most {NESTING_MAX} levels.")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"The body is not valid JSON at character offset {error.pos}.") from None
    if not isinstance(value, dict):
        raise Problem(422, "json_not_an_object", "The body must be a JSON object.")
    # NUL and lone surrogates can only come as escapes: the parser and UTF-8 refuse raw ones.
    if "\\u" in text:
        _check_storable(value)
    return value


def fingerprint(members: Mapping[str, Any]) -> bytes:
    """Return a SHA-256 that equal members have, whatever their order; a member that is null equals one left out."""
    present = {name: value for name, value in members.items() if value is not None}
    return hashlib.sha256(orjson.dumps(present, option=orjson.OPT_SORT_KEYS)).digest()


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
            raise Problem(400, "json_text_unstorable", "A string holds NUL or half a surrogate pair. Remove it.")
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
        raise Problem(400, "json_duplicate_key", "An object in the body repeats a key. Send each key once.")
    return members


def _refuse_constant(_: str) -> NoReturn:
    raise _invalid("NaN and Infinity are not valid JSON. Remove them from the body.")


def _invalid(detail: str) -> Problem:
    return Problem(400, "json_invalid", detail)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_refuse_duplicates,
    parse_constant=_refuse_constant,
    parse_int=JsonNumber,
    parse_float=JsonNumber,
)
