"""Arguments that several commands take, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

_EXAMPLE_ID = "01a1fd50-1a0a-70e7-9753-804a71418b4e"
_DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?[smhd])+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_SECONDS_MAX = 10 * 365 * 86400


def id_of(noun: str) -> Callable[[str], UUID]:
    """Return what reads the id of a `noun`, such as "payment"."""

    def parse(text: str) -> UUID:
        try:
            return UUID(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not the id of a {noun}, such as {_EXAMPLE_ID}") from None

    return parse


def parse_time(text: str) -> datetime:
    """Read a time by ISO 8601, as 2026-11-28 or 2026-11-28T12:00:00Z. Without an offset it is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time, such as 2026-11-28T12:00:00Z") from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_duration(text: str) -> timedelta:
    """Read a duration, as 90, 90s, 15m, 75h, 7d or 1d12h. A number alone is in seconds."""
    seconds = float(text) if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) else None
    if seconds is None and _DURATION.fullmatch(text):
        seconds = sum(float(count) * _DURATION_UNITS[unit] for count, unit in _DURATION_PART.findall(text))
    if seconds is None or not 0 <= seconds <= _SECONDS_MAX:
        raise typer.BadParameter(f"{text!r} is not a duration, such as 90s, 15m, 75h or 7d")
    return timedelta(seconds=seconds)


MerchantOption = Annotated[
    UUID | None,
    typer.Option("--merchant", parser=id_of("merchant"), metavar="ID", help="Of this merchant. Of all if absent."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key",
        metavar="KEY",
        help="Repeat a command under its key to do it once. A new key is made if absent, and printed.",
    ),
]
