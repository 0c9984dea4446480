"""The answers about the archive, and the order of a restore, for the OpenAPI document.

`answers.py` checks the order by hand, and archive/domain.py makes the answers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from paybridge.archive.domain import MonthState, TableState
from paybridge.archive.order import RESTORED_DAYS, RESTORED_DAYS_MAX

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]
MonthText = Annotated[str, Field(pattern=r"^\d{4}-\d{2}$", examples=["2025-01"])]


class RestoreRequest(BaseModel):
    """For how long a month is restored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: Annotated[
        int | None,
        Field(ge=1, le=RESTORED_DAYS_MAX, description=f"Days from now. {RESTORED_DAYS} if absent.", examples=[7]),
    ] = None


class ArchivedTableView(BaseModel):
    """One table of a month."""

    table: Annotated[str, Field(examples=["payments"])]
    state: Annotated[str, Field(json_schema_extra={"enum": [*TableState]})]
    rows: int
    bytes: Annotated[int, Field(description="Bytes of the files.")]
    files: int
    files_done: Annotated[int, Field(description="Files that were loaded by a restore, or verified before the drop.")]
    location: Annotated[str, Field(examples=["s3://paybridge-prod-archive-123456789012/payments/2025-01/payments/"])]
    manifest_sha256: str | None
    detached_at: Time | None


class ArchivedMonthView(BaseModel):
    """One month of the archive."""

    month: MonthText
    state: Annotated[str, Field(json_schema_extra={"enum": [*MonthState]})]
    reason: Annotated[str | None, Field(description="Why it waits.", examples=["3 pending webhooks"])]
    rows: int
    bytes: int
    restored_until: Time | None
    checked_at: Time
    created_at: Time
    updated_at: Time
    tables: list[ArchivedTableView]


class ArchivedMonthList(BaseModel):
    """Every month that was looked at, newest first."""

    data: list[ArchivedMonthView]
    has_more: bool
    next_cursor: str | None


MODELS = (RestoreRequest, ArchivedMonthView, ArchivedMonthList)
