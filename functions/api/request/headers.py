"""Request headers: those that may be sent only once, `Idempotency-Key` and `Prefer`."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from api.problems import Problem
from paybridge.payments.idempotency import KEY_CHARACTERS_MAX, is_usable_key

WAIT_SECONDS_MAX = 20
# What `parse_idempotency_key` takes, as the OpenAPI document says it: visible ASCII, bare without a comma, or quoted.
KEY_PATTERN = r'^([!#-+.-~-][!-+.-~-]*|"([!#-\[\]-~]|\\["\\])+")$'

# sf-string of RFC 8941: printable ASCII, in which only the quotation mark and the backslash are escaped.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPE = re.compile(r'\\(["\\])')
_WAIT = re.compile(r'wait\s*=\s*(?:"([0-9]{1,6})"|([0-9]{1,6}))', re.IGNORECASE)


def single_header(headers: Headers, name: str) -> str | None:
    """Return the value of a header that may be sent once, None if it is missing. Raises Problem (400).

    API Gateway joins the values of a repeated header with commas, so a value that cannot hold a comma must be checked
    for one as well.
    """
    values = headers.getlist(name)
    if len(values) > 1:
        raise header_repeated(name)
    return values[0] if values else None


def header_repeated(name: str, advice: str = "") -> Problem:
    """Return the 400 for a header that was sent more than once."""
    return Problem(400, "header_repeated", f"The {name} header was sent more than once. Send it once.{advice}")


def parse_idempotency_key(header: str | None) -> str:
    """Return the key in an `Idempotency-Key` header: 1 to 255 visible ASCII characters.

    The header is bare or a quoted string (RFC 8941). Both spellings name the same key. Only a quoted key may hold a
    comma: outside quotes it is the mark of a header that was sent twice. Raises Problem (400).
    """
    if header is None or not header.strip(" \t"):
        raise Problem(
            400,
            "idempotency_key_missing",
            "The Idempotency-Key header is missing. Send a new value for each new request, for example a UUID.",
        )
    text = header.strip(" \t")
    is_quoted = text.startswith('"')
    key = _unquoted(text) if is_quoted else text
    if "," in text and (key is None or not is_quoted):
        raise header_repeated("Idempotency-Key", " Put a key that holds a comma in double quotes.")
    if key is None or not is_usable_key(key):
        raise Problem(
            400,
            "idempotency_key_invalid",
            f"The Idempotency-Key must be 1 to {KEY_CHARACTERS_MAX} visible ASCII characters, bare or double-quoted.",
        )
    return key


def preferred_wait_seconds(header: str | None) -> int | None:
    """Return the seconds in the first `wait=N` of a `Prefer` header (RFC 7240), at most WAIT_SECONDS_MAX.

    As the RFC asks, ignore preferences that cannot be read. Return None if there is no usable `wait`.
    """
    for preference in (header or "").split(","):
        match = _WAIT.fullmatch(preference.partition(";")[0].strip())
        if match is not None:
            return min(int(match.group(1) or match.group(2)), WAIT_SECONDS_MAX)
    return None


def _unquoted(text: str) -> str | None:
    match = _QUOTED.fullmatch(text)
    return _ESCAPE.sub(r"\1", match.group(1)) if match else None
