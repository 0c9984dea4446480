"""The JSON body of a request: its type, its strict parsing, and the fingerprint of its members."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson

from api.problems import Problem
from api.request.headers import header_repeated
from paybridge.core import strict_json
from paybridge.core.strict_json import JsonRefused

# The others are bad requests.
_STATUSES = {"body_too_large": 413, "json_not_an_object": 422}


def check_content_type(content_type: str | None, content_encoding: str | None = None) -> None:
    """Accept a missing type and `application/json`, in UTF-8 if a charset is named. Raises Problem (400, 415)."""
    check_content_encoding(content_encoding)
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


def check_content_encoding(content_encoding: str | None) -> None:
    """Accept a body as it is. Raises Problem (415) for one that is compressed."""
    if content_encoding is not None and content_encoding.strip().lower() != "identity":
        raise Problem(
            415, "content_encoding_unsupported", "The content encoding is not supported. Send the body uncompressed."
        )


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`, with numbers as JsonNumber. Raises Problem (400, 413 or 422)."""
    try:
        return strict_json.parse_object(body)
    except JsonRefused as error:
        raise Problem(_STATUSES.get(error.code, 400), error.code, error.detail) from None


def fingerprint(members: Mapping[str, Any]) -> bytes:
    """Return a SHA-256 that equal members have, whatever their order; a member that is null equals one left out."""
    present = {name: value for name, value in members.items() if value is not None}
    return hashlib.sha256(orjson.dumps(present, option=orjson.OPT_SORT_KEYS)).digest()
