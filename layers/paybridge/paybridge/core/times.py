"""Times as text: RFC 3339 in, and out with always the same number of digits. And the times in identifiers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_MICROSECOND_DIGITS = 6
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The time of a UUIDv7, in milliseconds, is what precedes these bits.
_BITS_AFTER_TIME = 80
# The year 3000: a time of an id beyond it is none.
_ID_SECONDS_MAX = 32_503_680_000


def format_time(moment: datetime) -> str:
    """Return a time with an offset as RFC 3339 in UTC with six digits: `2026-01-31T12:00:00.000000+00:00`."""
    # Our own times are in UTC already, and converting costs as much as writing.
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")


def parse_time(text: str) -> datetime:
    """Return the moment of an RFC 3339 time, in UTC. Raises ValueError for any other text.

    Digits beyond microseconds are cut off. A leap second is the first second after it, as in PostgreSQL and on a POSIX
    clock, and is accepted only where one can be: at 23:59:60 UTC on the last day of a month.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction = (match.group(7) or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    is_leap = second == 60
    local = datetime(
        year, month, day, hour, minute, 59 if is_leap else second, int(fraction), _offset(*match.groups()[7:])
    )
    moment = in_utc(local)
    return _after_leap_second(moment) if is_leap else moment


def _after_leap_second(last_second: datetime) -> datetime:
    try:
        moment = last_second + timedelta(seconds=1)
    except OverflowError:
        return _LAST
    if (moment.day, moment.hour, moment.minute, moment.second) != (1, 0, 0, 0):
        raise ValueError("there is no leap second at this time")
    return moment


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    if sign is None or hours is None or minutes is None:
        return UTC
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("the offset is out of range")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC, and the end of the calendar for one beyond it."""
    # Near the ends of the calendar an offset leads out of it. No payment was created there, so the end of the
    # calendar selects the same payments as the moment beyond it.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _FIRST if moment.year == 1 else _LAST


def shift(moment: datetime, by: timedelta) -> datetime:
    """Return a moment so much later, or earlier if `by` is below zero; the end of the calendar for one beyond it."""
    try:
        return moment + by
    except OverflowError:
        return _FIRST if by < timedelta(0) else _LAST


def lowest_id(moment: datetime) -> UUID:
    """Return the lowest UUIDv7 of that millisecond."""
    return UUID(int=max(0, (moment - _EPOCH) // timedelta(milliseconds=1)) << _BITS_AFTER_TIME)


def made_at(id_: UUID) -> datetime:
    """Return when a UUIDv7 was made, by the time in it. What has no such time is of the year 1970."""
    seconds = (id_.int >> _BITS_AFTER_TIME) / 1000
    return datetime.fromtimestamp(seconds if seconds < _ID_SECONDS_MAX else 0, UTC)
