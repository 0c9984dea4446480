"""The fields of the answers to audits, for the OpenAPI document. audit/domain.py makes the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from paybridge.core.gaps import GapKind

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-04-17T12:00:03.500000+00:00"])]


class GapSubject(BaseModel):
    """What a gap is about."""

    type: Annotated[str, Field(description="`payment`, `refund` or another subject of events.", examples=["payment"])]
    id: Id


class GapView(BaseModel):
    """One gap."""

    kind: Annotated[str, Field(description="What is missing.", json_schema_extra={"enum": [*GapKind]})]
    subject: GapSubject
    event_id: Annotated[Id | None, Field(description="The event, where there is one.")]
    event_type: Annotated[str | None, Field(examples=["payment.succeeded"])]
    merchant_id: Id | None
    consumer: Annotated[str | None, Field(description="The queue of the consumer that has lost the event.")]
    detail: Annotated[str, Field(description="What was expected, and what is there.")]


class OutboxAudit(BaseModel):
    """What an audit has found."""

    from_: Annotated[Time, Field(alias="from")]
    to: Time
    grace_seconds: Annotated[float, Field(description="What is younger may be on its way.", examples=[300.0])]
    checked: Annotated[int, Field(description="Rows of the outbox that were checked.", examples=[41280])]
    payments: Annotated[int, Field(description="Payments that were compared with their events.", examples=[10320])]
    others: Annotated[int, Field(description="Payouts and webhook endpoints that were.", examples=[12])]
    gaps: list[GapView]
    kinds: Annotated[dict[str, int], Field(description="The gaps of this answer by kind.")]
    complete: Annotated[bool, Field(description="Whether this is the end of the audit.")]
    progress: Annotated[float, Field(description="Which part is done, from 0 to 1.", examples=[1.0])]
    next_cursor: Annotated[str | None, Field(description="The `cursor` to go on with. Null at the end.")]


class NightlyAuditView(OutboxAudit):
    """What the audit of a night has found. One with very many gaps ends before it is `complete`."""

    audit_id: Id
    created_at: Annotated[Time, Field(description="When it began.")]
    finished_at: Annotated[Time | None, Field(description="When it ended.")]


MODELS: tuple[type[BaseModel], ...] = (OutboxAudit, NightlyAuditView)
