"""Which figures to show, and the fields of the answers, for the OpenAPI document; analytics/domain.py makes them."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.request.parameters import PageQuery

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_ID_PATTERN = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


def _parse_day(value: Any) -> date:
    try:
        # date.fromisoformat also reads weeks and days of the year.
        if _DAY.fullmatch(str(value)):
            return date.fromisoformat(str(value))
    except ValueError:
        pass
    raise PydanticCustomError("day_invalid", "broken")


_Day = Annotated[date, BeforeValidator(_parse_day)]
_Count = Annotated[int, Field(ge=0)]
_Amount = Annotated[str, Field(examples=["100.50"])]
_Rate = Annotated[float | None, Field(ge=0, le=1)]
_Seconds = Annotated[float | None, Field(ge=0)]


class FiguresQuery(PageQuery):
    """Which days, and the page. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: Annotated[_Day | None, Field(alias="from")] = None
    last: Annotated[_Day | None, Field(alias="to")] = None
    currency: Annotated[str | None, Field(pattern="^[A-Z]{3}$")] = None
    merchant_id: Annotated[str | None, Field(pattern=_ID_PATTERN)] = None


class _Figures(BaseModel):
    merchant_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    currency: Annotated[str, Field(examples=["EUR"])]
    payments: Annotated[int, Field(ge=0, description="Payments created.")]
    succeeded: Annotated[int, Field(ge=0, description="Of these: succeeded, those refunded later included.")]
    failed: _Count
    canceled: _Count
    authorized: Annotated[int, Field(ge=0, description="Of these: wait for their capture.")]
    open: Annotated[int, Field(ge=0, description="Of these: have no outcome yet.")]
    failure_rate: Annotated[_Rate, Field(description="Failed among those with an outcome. Null without any.")]
    amount: Annotated[_Amount, Field(description="What the payments ask for.")]
    volume: Annotated[_Amount, Field(description="What of it was captured.")]
    processing_mean_seconds: Annotated[
        _Seconds, Field(description="From creation to the first outcome. Null without any.")
    ]
    refunds: Annotated[int, Field(ge=0, description="Refunds asked for in this time that have succeeded.")]
    refunds_failed: _Count
    refunds_open: _Count
    refunded: Annotated[_Amount, Field(description="What the succeeded refunds gave back.")]
    webhooks_delivered: Annotated[int, Field(ge=0, description="Webhooks of this time that have arrived.")]
    webhooks_failed: Annotated[int, Field(ge=0, description="Webhooks of this time that were given up.")]
    webhook_success_rate: Annotated[_Rate, Field(description="Arrived among both. Null without any.")]


class DailyFiguresView(_Figures):
    """A day (UTC) of a merchant in one currency."""

    model_config = ConfigDict(title="DailyFigures")

    day: Annotated[str, Field(json_schema_extra={"format": "date"})]
    processing_p50_seconds: Annotated[_Seconds, Field(description="Half of the payments take no longer.")]
    processing_p95_seconds: Annotated[_Seconds, Field(description="95 of 100 payments take no longer.")]


class MonthlyFiguresView(_Figures):
    """The sums of a month's days. It has no percentiles, because those of days do not add up."""

    model_config = ConfigDict(title="MonthlyFigures")

    month: Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}$", examples=["2026-01"])]


class _Page(BaseModel):
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


class DailyFiguresPage(_Page):
    """Days, the oldest first, then by merchant and currency."""

    data: list[DailyFiguresView]


class MonthlyFiguresPage(_Page):
    """Months, the oldest first, then by merchant and currency."""

    data: list[MonthlyFiguresView]


MODELS = (DailyFiguresPage, MonthlyFiguresPage)
