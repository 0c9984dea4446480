"""Read the figures of days and months, in pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.analytics.domain import COLUMNS, MONTH_COLUMNS, DayKey, Figures, Wanted, day_view, month_view
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Database

# A year and a day, so that a range may hold the same day of two years.
DAYS_MAX = 367
DEFAULT_DAYS = 30
_CURSOR = re.compile(r"([0-9]{8})-([0-9a-f]{32})-([A-Z]{3})", re.ASCII)


class Period(StrEnum):
    """What the figures are of."""

    DAY = "day"
    MONTH = "month"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the members of a view."""
        return COLUMNS if self is Period.DAY else MONTH_COLUMNS

    def view(self, figures: Figures) -> dict[str, Any]:
        """Return the figures as answers show them."""
        return day_view(figures) if self is Period.DAY else month_view(figures)


@dataclass(frozen=True, slots=True)
class FiguresPage:
    """Figures, the oldest first, and the cursor of the next page; None on the last page."""

    figures: list[Figures]
    next_cursor: str | None


def range_of(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """Return the range of days that is asked for: up to today and DEFAULT_DAYS long where nothing is said.

    Raises InvalidInput (`range_invalid`) if it ends before it begins or has more than DAYS_MAX days.
    """
    last = last or (today if first is None else max(first, today))
    first = first or max(date.min, last - timedelta(days=min(DEFAULT_DAYS - 1, (last - date.min).days)))
    if last < first:
        raise InvalidInput("range_invalid", "`to` is before `from`. Both days belong to the range.", "to")
    if (last - first).days >= DAYS_MAX:
        raise InvalidInput("range_invalid", f"Ask for at most {DAYS_MAX} days at once.", "from")
    return first, last


def read_figures(database: Database, period: Period, wanted: Wanted, *, cursor: str | None, limit: int) -> FiguresPage:
    """Return the figures of days, or the sums of their months, at most `limit` after the cursor.

    Raises InvalidInput (`cursor_invalid`) and DatabaseUnavailable.
    """
    # Reading imports SQLAlchemy, which most environments of the API never need.
    from paybridge.analytics.store import reading

    after = None if cursor is None else _key_of(cursor)
    read = reading.days_between if period is Period.DAY else reading.months_between
    if period is Period.MONTH:
        first, last = _whole_months(wanted.first, wanted.last)
        wanted = replace(wanted, first=first, last=last)
    # One more than asked for shows whether another page follows.
    found = read(database, wanted, after=after, limit=limit + 1)
    figures = found[:limit]
    return FiguresPage(figures, cursor_after(figures[-1]) if len(found) > limit else None)


def json_view(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a view as JSON has it: rates and seconds are numbers there, and amounts texts as everywhere."""
    return {name: float(value) if isinstance(value, Decimal) else value for name, value in view.items()}


def cursor_after(figures: Figures) -> str:
    """Return the cursor that continues after these figures."""
    return f"{figures.key.day:%Y%m%d}-{figures.key.merchant_id.hex}-{figures.key.currency}"


def _key_of(cursor: str) -> DayKey:
    match = _CURSOR.fullmatch(cursor)
    try:
        if match is not None:
            day, merchant_id, currency = match.groups()
            return DayKey(UUID(merchant_id), date.fromisoformat(day), currency)
    except ValueError:
        pass
    raise InvalidInput("cursor_invalid", "Send a next_cursor of this list unchanged, or none.", "cursor")


def _whole_months(first: date, last: date) -> tuple[date, date]:
    """Return the first day of the first month and the last day of the last month."""
    next_month = (last.replace(day=28) + timedelta(days=4)).replace(day=1) if last < date.max.replace(day=1) else None
    return first.replace(day=1), date.max if next_month is None else next_month - timedelta(days=1)
