"""Structured logs: one JSON object a line, by Powertools, with the correlation id of the work in hand."""

from __future__ import annotations

import json
from typing import IO, Any, Final

import orjson
from aws_lambda_powertools import Logger

# A dataclass is logged as its text, which is where it hides what is secret; orjson would write out its fields.
_OPTIONS: Final = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS


def logger(service: str | None = None, stream: IO[str] | None = None) -> Logger:
    """The logger of this function, to standard output unless `stream` says otherwise.

    Level and service, where none is given, come from the POWERTOOLS_* variables.
    """
    return Logger(service=service, stream=stream, utc=True, use_rfc3339=True, json_serializer=json_text)


def json_text(record: dict[str, Any]) -> str:
    """One line of the log. orjson takes a quarter of the time off it."""
    try:
        return orjson.dumps(record, default=str, option=_OPTIONS).decode()
    except orjson.JSONEncodeError:
        # Half of a surrogate pair or a number beyond 64 bits: a line must never be lost for what is in it.
        return json.dumps(record, default=str, separators=(",", ":"))
