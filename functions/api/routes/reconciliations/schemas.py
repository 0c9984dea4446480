"""The fields of requests about reconciliations, and of the answers, for the OpenAPI document.

`requests.py` checks the requests by hand, and reconciliation/domain makes the answers.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from paybridge.reconciliation.domain.breaks import (
    NOTE_CHARACTERS_MAX,
    BreakState,
    BreakType,
    Direction,
    Leg,
    Resolution,
)
from paybridge.reconciliation.domain.run import RunPhase, RunState

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]
Day = Annotated[str, Field(json_schema_extra={"format": "date"}, examples=["2026-04-17"])]
Amounts = Annotated[
    dict[str, str],
    Field(description="Decimal strings by currency. A currency without any is left out.", examples=[{"EUR": "-10.00"}]),
]
Note = Annotated[str, Field(min_length=1, max_length=NOTE_CHARACTERS_MAX, examples=["Refunded by hand, ticket 4711."])]


class ReconciliationRequest(BaseModel):
    """Which day to compare."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: Annotated[Day, Field(description="A day in UTC that has begun.")]


class ReconciliationTotals(BaseModel):
    """What the sides add up to in one currency."""

    currency: str
    gateway: Annotated[str, Field(description="What the lines of the statements add up to.")]
    payments: Annotated[str, Field(description="What our operations of the same day add up to.")]
    payments_posted: Annotated[str, Field(description="What the ledger should have for these operations.")]
    ledger: Annotated[str, Field(description="What it has posted for them.")]


class ReconciliationView(BaseModel):
    """A reconciliation."""

    reconciliation_id: Id
    date: Day
    state: RunState
    phase: RunPhase | None
    breaks: Annotated[int, Field(description="Breaks that are open or explained.")]
    difference: Annotated[Amounts, Field(description="What the gateways say more than the books.")]
    unexplained: Annotated[Amounts, Field(description="What the breaks do not explain. Empty, or the state is failed.")]
    breaks_by_state: dict[str, int]
    breaks_by_type: Annotated[dict[str, int], Field(description="Those that are open or explained.")]
    totals: list[ReconciliationTotals]
    matched: Annotated[int, Field(description="Operations without a break.")]
    on_the_way: Annotated[int, Field(description="Operations that one side has not recorded yet, left out.")]
    pending: Annotated[int, Field(description="Operations that a side has not decided. They are compared once it has.")]
    gateways: list[str]
    passes: Annotated[int, Field(description="How often the day was compared.")]
    error: str | None
    started_by: str
    created_at: Time
    began_at: Annotated[Time, Field(description="When the newest pass began.")]
    finished_at: Time | None


class ReconciliationList(BaseModel):
    """A page of reconciliations, the newest day first."""

    data: list[ReconciliationView]
    has_more: bool
    next_cursor: str | None


class BreakSideView(BaseModel):
    """What one side says."""

    amount: str | None
    amount_minor: int | None
    currency: str | None
    status: str
    id: Annotated[str | None, Field(description="This side's own name for the operation.")]
    at: Time | None


class BreakActionView(BaseModel):
    """What was done about a break."""

    at: Time
    action: str
    resolution: Annotated[Resolution | None, Field(description="How the break was resolved, if that was done.")]
    actor: str
    note: str | None


class ReconciliationBreak(BaseModel):
    """A break: what two sides do not agree on."""

    break_id: Id
    type: BreakType
    leg: Leg
    direction: Direction | None
    operation_id: Id | None
    payment_id: Id | None
    merchant_id: Id | None
    kind: str | None
    gateway_name: str
    gateway: BreakSideView | None
    payments: BreakSideView | None
    ledger: BreakSideView | None
    difference: Annotated[Amounts, Field(description="How much of the difference the break makes up.")]
    difference_minor: Annotated[dict[str, int], Field(description="The same in minor units.")]
    found_at: Time
    reconciliation_id: Id
    age_seconds: int
    state: BreakState
    resolution: Resolution | None
    note: str | None
    actor: str | None
    changed_at: Time


class ReconciliationBreakRecord(ReconciliationBreak):
    """A break and what was done about it."""

    actions: list[BreakActionView]


class ReconciliationBreakList(BaseModel):
    """A page of breaks, oldest first."""

    data: list[ReconciliationBreak]
    has_more: bool
    next_cursor: str | None


class BreakNote(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: Note


class BreakResolution(BaseModel):
    """How a break was resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    note: Note
    resolution: Annotated[
        Literal["manual", "force"] | None,
        Field(description="`manual`: a side was corrected, as if absent. `force`: the difference is accepted."),
    ] = None


MODELS: tuple[type[BaseModel], ...] = (
    ReconciliationRequest,
    ReconciliationView,
    ReconciliationList,
    ReconciliationBreak,
    ReconciliationBreakRecord,
    ReconciliationBreakList,
    BreakNote,
    BreakResolution,
)
