"""Arguments that several commands take, and how their texts are read."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from paybridge.access.domain.merchants import NAME_CHARACTERS_MAX
from paybridge.access.domain.rate_limit import BURST_MAX, PER_SECOND_MAX, RateLimit
from paybridge.core.times import in_utc

METADATA_EXAMPLE = "such as order=1001"

_EXAMPLE_ID = "01a1fd50-1a0a-70e7-9753-804a71418b4e"
_UNIT_SECONDS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile("".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _UNIT_SECONDS))
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
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
    return in_utc(time) if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_duration(text: str) -> timedelta:
    """Read a duration, as 90, 90s, 15m, 75h, 7d or 1d12h. A number alone is in seconds."""
    written = text.strip().lower()
    found = _DURATION.fullmatch(f"{written}s" if _NUMBER.fullmatch(written) else written)
    amounts = {} if found is None else {unit: amount for unit, amount in found.groupdict().items() if amount}
    seconds = sum(float(amount) * _UNIT_SECONDS[unit] for unit, amount in amounts.items())
    if not amounts or seconds > _SECONDS_MAX:
        raise typer.BadParameter(f"{text!r} is not a duration, such as 90s, 15m, 75h, 7d or 1d12h")
    return timedelta(seconds=seconds)


def parse_name(text: str) -> str:
    """Read the name of a merchant or of a staff member."""
    if not text.strip():
        raise typer.BadParameter("a merchant or staff member needs a name, such as Acme")
    if len(text) > NAME_CHARACTERS_MAX:
        raise typer.BadParameter(f"a name has at most {NAME_CHARACTERS_MAX} characters")
    return text


def decoded(body: str) -> bytes:
    """Read what a file of another machine holds, which `--body` gives as base64."""
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        raise typer.BadParameter("--body is not base64") from None


def metadata_of(pairs: list[str]) -> dict[str, str] | None:
    """Read the pairs NAME=VALUE, None if there are none."""
    split = [pair.partition("=") for pair in pairs]
    for pair, (name, sign, _) in zip(pairs, split, strict=True):
        if not name or not sign:
            raise typer.BadParameter(f"{pair!r} is not a name and a value, {METADATA_EXAMPLE}")
    return {name: value for name, _, value in split} or None


def rate_limit_of(per_second: int | None, burst: int | None) -> RateLimit | None:
    """Return the limit that two options name, None if neither is given."""
    if per_second is None and burst is None:
        return None
    if per_second is None or burst is None:
        raise typer.BadParameter("give --rate-per-second and --rate-burst together")
    return RateLimit(per_second, burst)


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
PerSecond = Annotated[
    int | None,
    typer.Option("--rate-per-second", min=1, max=PER_SECOND_MAX, metavar="N", help="Limit of requests a second."),
]
Burst = Annotated[
    int | None,
    typer.Option("--rate-burst", min=1, max=BURST_MAX, metavar="N", help="Requests that may come at once."),
]
