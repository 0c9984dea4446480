"""The query string before it becomes parameters: what a lenient parser would guess at is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl

from api.problems import FieldError, Problem


def check_query_string(raw: bytes) -> None:
    """Raises Problem: 400 unless it is UTF-8 in percent-encoding, 422 when a parameter comes twice.

    The framework would put replacement characters in the place of bytes that are no text, and take the last of
    several values; either way the caller would get an answer to another question.
    """
    try:
        names = [name for name, _ in parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")]
    except ValueError:
        raise Problem(400, "query_malformed", "The query string is not UTF-8 in percent-encoding.") from None
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        detail = "Some members of the request break a rule; see errors."
        errors = [FieldError(name, "repeated", "Must be given once.") for name in repeated]
        raise Problem(422, "validation_failed", detail, errors=errors)
