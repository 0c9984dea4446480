"""Read pages of the statement of the gateway `default`: where to ask, and what an answer says.

    GET /statement?date=2026-11-28&limit=1000&after=3000
    → Next-After: 4000
    [{"id": "ch_…", "reference": …, "operation_id": …, "kind": "charge", "amount_minor": 10050, "currency": "EUR",
      "status": "succeeded", "created_at": "2026-11-28T12:00:00.000Z", …}, …]

A gateway without pages ignores `limit`, says no `Next-After`, and answers with the whole day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import (
    LineStatus,
    StatementLine,
    StatementPage,
    StatementUnavailable,
    reference_of,
)
from paybridge.payments.gateways.reading import DECLINED_STATUSES, PENDING_STATUSES

PAGE_LINES = 1000
# Stored in the database and shown to operators.
_ID_CHARACTERS_MAX = 255
_CURRENCY_CHARACTERS = 3
# What PostgreSQL's bigint holds.
_AMOUNT_MINOR_MAX = 2**63 - 1
_DAY = timedelta(days=1)


class LineMalformed(ValueError):
    """A line of a statement cannot be read; the message says why and shows no value."""


@dataclass(frozen=True, slots=True)
class StatementPlace:
    """Where a page begins within the lines from `begin` on and before `end`: on a day, after so many lines of it."""

    begin: datetime
    end: datetime
    day: date
    after: int

    @classmethod
    def of(cls, begin: datetime, end: datetime, after: str | None) -> StatementPlace:
        """Return the first place, or the one that the page before said."""
        begin, end = begin.astimezone(UTC), end.astimezone(UTC)
        if after is None:
            return cls(begin, end, begin.date(), 0)
        day, _, lines = after.partition("+")
        return cls(begin, end, date.fromisoformat(day), int(lines))

    def query(self) -> dict[str, str]:
        """Return the parameters of the request. Bounds within the day are named only where it is not wanted whole."""
        midnight = datetime.combine(self.day, time(), UTC)
        bounds = {}
        if self.begin > midnight:
            bounds["created_from"] = _written(self.begin)
        if self.end < midnight + _DAY:
            bounds["created_to"] = _written(self.end)
        return {"date": self.day.isoformat(), **bounds, "limit": str(PAGE_LINES), "after": str(self.after)}

    def following(self, next_after: str | None) -> str | None:
        """Return where the next page begins, None after the last of the range."""
        if next_after is not None:
            if not next_after.isdigit() or int(next_after) <= self.after:
                raise ValueError("Next-After goes back")
            return f"{self.day.isoformat()}+{next_after}"
        next_day = self.day + _DAY
        return f"{next_day.isoformat()}+0" if datetime.combine(next_day, time(), UTC) < self.end else None


def read_statement_page(
    place: StatementPlace, status: int, body: bytes, next_after: str | None
) -> StatementPage | StatementUnavailable:
    """Return the page in an answer. A line that cannot be read makes the page unavailable: none is left out."""
    if status != 200:
        return StatementUnavailable(f"the gateway answered {status} for its statement")
    records = orjson.loads(body)
    if not isinstance(records, list):
        return StatementUnavailable("the statement is no list")
    lines = []
    for number, record in enumerate(records, place.after + 1):
        try:
            line = read_line(record)
        except LineMalformed as error:
            return StatementUnavailable(f"line {number} of {place.day.isoformat()}: {error}")
        # A gateway that does not know the bounds within a day answers with all of it.
        if place.begin <= line.at < place.end:
            lines.append(line)
    return StatementPage(lines, place.following(next_after))


def read_line(record: Any) -> StatementLine:
    """Return the line in a record of the gateway. Raises LineMalformed."""
    if not isinstance(record, Mapping):
        raise LineMalformed("it is no object")
    kind = _kind(record.get("kind"))
    operation_id, payment_id = _reference(record.get("operation_id")), _reference(record.get("reference"))
    return StatementLine(
        id=_id(record.get("id")),
        operation_id=reference_of(operation_id, payment_id, kind),
        kind=kind,
        amount_minor=_amount_minor(record.get("amount_minor")),
        currency=_currency(record.get("currency")),
        status=_status(record.get("status")),
        at=_time(record.get("created_at")),
    )


def _kind(value: Any) -> Kind:
    try:
        return Kind(value)
    except ValueError:
        raise LineMalformed(f"the kind is none of {', '.join(Kind)}") from None


def _reference(value: Any) -> UUID | None:
    """Return our id in a record; another system's reference is none of ours."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _id(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _ID_CHARACTERS_MAX or not value.isprintable():
        raise LineMalformed("the id is no text of 1 to 255 characters")
    return value


def _amount_minor(value: Any) -> int:
    # `true` is an int to Python, and 1.0 equals 1.
    if type(value) is not int or not 0 <= value <= _AMOUNT_MINOR_MAX:
        raise LineMalformed("the amount is no whole number of minor units")
    return value


def _currency(value: Any) -> str:
    if not isinstance(value, str) or len(value) != _CURRENCY_CHARACTERS or not value.isascii() or not value.isalpha():
        raise LineMalformed("the currency is no code of three letters")
    return value.upper()


def _status(value: Any) -> LineStatus:
    if value == "succeeded":
        return LineStatus.SUCCEEDED
    if value in PENDING_STATUSES:
        return LineStatus.PENDING
    if value in DECLINED_STATUSES:
        return LineStatus.DECLINED
    raise LineMalformed("the status is neither succeeded, pending nor declined")


def _time(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise LineMalformed("created_at is no time") from None
    if at.tzinfo is None:
        raise LineMalformed("created_at has no UTC offset")
    return at.astimezone(UTC)


def _written(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
