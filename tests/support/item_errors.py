"""Errors that the work on one item may raise, of kinds that no one foresaw."""

from __future__ import annotations

import decimal

from paybridge.core.errors import InvalidInput, MalformedMessage

ITEM_ERRORS: list[Exception] = [
    ValueError("no"),
    KeyError("no"),
    TypeError("no"),
    AttributeError("no"),
    RecursionError("no"),
    OverflowError("no"),
    decimal.InvalidOperation("no"),
    UnicodeEncodeError("utf-8", "x", 0, 1, "no"),
    AssertionError("no"),
    TimeoutError("no"),
    InvalidInput("currency_unsupported", "no"),
    MalformedMessage("no"),
]


def name_of(error: Exception) -> str:
    """Return the name of a test's parameter."""
    return type(error).__name__
