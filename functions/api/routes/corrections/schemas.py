"""The fields of requests about corrections, and of the answers. ledger/domain/corrections.py makes the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.request.parameters import refuse_nul
from paybridge.ledger.domain.corrections import REASON_CHARACTERS_MAX

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]


class CorrectionRequest(BaseModel):
    """The journal to take back, and why."""

    model_config = _STRICT

    event_id: Annotated[
        str,
        Field(
            pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            description="The event that made the journal, as `GET /ledger/entries` shows it.",
            json_schema_extra={"format": "uuid"},
        ),
    ]
    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=REASON_CHARACTERS_MAX,
            pattern=r"\S",
            description="Why the journal is wrong. It stays in the books.",
            examples=["A test payment, which the gateway did not settle"],
        ),
        AfterValidator(refuse_nul),
    ]


class CorrectionView(BaseModel):
    """A correction."""

    correction_id: Id
    event_id: Annotated[Id, Field(description="The event whose journal was taken back.")]
    rule: Annotated[str, Field(description="The posting rule that had made the journal.", examples=["capture"])]
    journal_id: Annotated[Id, Field(description="The journal of the correction, which entries show.")]
    corrects: Annotated[Id, Field(description="The journal that it takes back.")]
    reason: str
    created_at: Time
    created_by: Annotated[str, Field(description="Who ordered it.")]


class CorrectionList(BaseModel):
    """Corrections, newest first."""

    data: list[CorrectionView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


MODELS: tuple[type[BaseModel], ...] = (CorrectionRequest, CorrectionView, CorrectionList)
