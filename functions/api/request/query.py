"""The raw query string, before the framework reads parameters from it."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qsl

from api.problems import Problem, validation_failed
from paybridge.core.fields import FieldError, shown_path


def check_query_string(raw: bytes) -> None:
    """Raise Problem: 400 unless the query is UTF-8 in percent-encoding, 422 if a parameter is repeated.

    The framework would replace bytes that are not text and take the last of several values. Either way the caller
    would get the answer to another question.
    """
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem(400, "query_malformed", "Percent-encode the query string as UTF-8.") from None
    times = Counter(name for name, _ in pairs)
    repeated = sorted({shown_path([name]) for name, count in times.items() if count > 1})
    if repeated:
        raise validation_failed([FieldError(name, "repeated", "Send this parameter once.") for name in repeated])
