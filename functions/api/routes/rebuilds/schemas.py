"""The fields of requests about rebuilds, and of the answers, for the OpenAPI document.

`requests.py` checks the requests by hand, and ledger/domain/rebuild.py makes the answers.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.routes.rebuilds.requests import WAIT_SECONDS_MAX
from paybridge.ledger.domain.proof import DifferenceKind
from paybridge.ledger.domain.rebuild import REASON_CHARACTERS_MAX, RebuildPhase, RebuildState
from paybridge.ledger.rebuild import WAIT_SECONDS

_STRICT = ConfigDict(extra="forbid", frozen=True)

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]
Account = Annotated[
    str,
    Field(description="Owner, kind, currency and decimal places.", examples=["house/gateway_clearing/EUR/2"]),
]
BookId = Annotated[int, Field(ge=1, examples=[2])]


class RebuildRequest(BaseModel):
    """How to rebuild. The body may be empty."""

    model_config = _STRICT

    switch: Annotated[
        bool | None, Field(description="Make the rebuilt book the live one if it is proved equal. `false` if absent.")
    ] = None
    wait_seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=WAIT_SECONDS_MAX,
            description=f"How long the proof waits for events that the live book lacks. {WAIT_SECONDS} if absent.",
        ),
    ] = None
    rules_version: Annotated[
        int | None, Field(ge=1, description="Refuse unless the deployed posting rules have this version.")
    ] = None


class SwitchRequest(BaseModel):
    """How to switch. The body may be empty."""

    model_config = _STRICT

    accept_differences: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=REASON_CHARACTERS_MAX,
            pattern=r"\S",
            description="Why to switch to a book that differs, such as a posting rule that was wrong.",
            examples=["The fee of captures was booked the wrong way round."],
        ),
    ] = None


class ComparedTransferView(BaseModel):
    """A transfer of a journal that differs."""

    debit: Account
    credit: Account
    amount_minor: Annotated[str, Field(description="In minor units.", examples=["1000"])]


class ComparedJournalView(BaseModel):
    """A journal that differs, as it is in one of the books."""

    journal_id: Id
    rule: Annotated[str, Field(examples=["capture"])]
    rule_version: Annotated[int, Field(examples=[1])]
    happened_at: Time
    payment_id: Id | None
    transfers: list[ComparedTransferView]


class DifferenceView(BaseModel):
    """The first journal that is not the same in both books."""

    kind: Annotated[
        str,
        Field(
            description="`missing`: only the rebuilt book has it. `extra`: only the live book. `different`: both.",
            json_schema_extra={"enum": [*DifferenceKind]},
        ),
    ]
    event_id: Id
    account: Annotated[Account | None, Field(description="The first account whose entries differ.")]
    live: ComparedJournalView | None
    rebuilt: ComparedJournalView | None


class RebuildView(BaseModel):
    """A rebuild, its progress and its proof."""

    rebuild_id: Id
    state: Annotated[str, Field(json_schema_extra={"enum": [*RebuildState]})]
    phase: Annotated[
        str, Field(description="What it does, or did when it failed.", json_schema_extra={"enum": [*RebuildPhase]})
    ]
    progress: Annotated[float, Field(ge=0, le=1, description="From 0 to 1.")]
    equal: Annotated[bool | None, Field(description="Whether the books are equal. Null until that is known.")]
    book: Annotated[BookId, Field(description="The rebuilt book.")]
    live_book: Annotated[BookId, Field(description="The book that it is compared with.")]
    rules_version: Annotated[int, Field(description="The version of the posting rules.", examples=[1])]
    events: Annotated[int, Field(description="How many events were read.")]
    journals: Annotated[int, Field(description="How many journals were posted.")]
    unreadable_events: Annotated[int, Field(description="Events whose money cannot be read. No book has them.")]
    first_unreadable_event: Id | None
    compared_journals: Annotated[int, Field(description="How many journals of the rebuilt book were compared.")]
    waiting_for_live_book: Annotated[bool, Field(description="Whether the live book still lacks events.")]
    differences: Annotated[int, Field(description="How many journals differ.")]
    first_difference: DifferenceView | None
    live_hash: Annotated[str | None, Field(description="SHA-256 over all accounts of the live book, in hex.")]
    rebuilt_hash: Annotated[str | None, Field(description="The same of the rebuilt book.")]
    failure: Annotated[str | None, Field(description="Why it failed.")]
    created_at: Time
    created_by: Annotated[str, Field(description="Who ordered it.")]
    finished_at: Time | None
    switch_wanted: Annotated[bool, Field(description="Whether it switches by its own order.")]
    switched_at: Annotated[Time | None, Field(description="When its book became the live one.")]
    switched_by: str | None
    switch_reason: Annotated[str | None, Field(description="Why differences were accepted.")]
    switch_refusal: Annotated[str | None, Field(description="Why the switch that was ordered did not happen.")]


class RebuildList(BaseModel):
    """Rebuilds, newest first."""

    data: list[RebuildView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


class BookView(BaseModel):
    """A book."""

    book: BookId
    name: Annotated[str, Field(examples=["first"])]
    state: Annotated[str, Field(json_schema_extra={"enum": ["building", "live", "retired", "dropping"]})]
    rules_version: Annotated[int, Field(description="The version of the posting rules that it began with.")]
    created_at: Time
    switched_at: Annotated[Time | None, Field(description="When it became the live one.")]


class BookList(BaseModel):
    """Books, newest first. There is one page."""

    data: list[BookView]
    has_more: bool
    next_cursor: str | None


class DroppingView(BaseModel):
    """A book that is being dropped."""

    book: BookId
    state: Annotated[str, Field(json_schema_extra={"enum": ["dropping"]})]


MODELS: tuple[type[BaseModel], ...] = (
    RebuildRequest,
    SwitchRequest,
    RebuildView,
    RebuildList,
    BookList,
    DroppingView,
)
