"""The fields of the answer about where a payment is, for the OpenAPI document; payments/diagnose.py makes it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.routes.payments.schemas import PaymentView, TimelineEntryView
from paybridge.payments.domain.operation import Cause, Kind, OperationStatus

_Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class ExplainedOperationView(BaseModel):
    """What was asked of the gateway, and where it is."""

    model_config = ConfigDict(title="ExplainedOperation")

    operation_id: _Id
    kind: Annotated[
        str,
        Field(
            description="What is asked. A `refund_reversal` is the gateway's own doing.",
            json_schema_extra={"enum": [*Kind]},
        ),
    ]
    cause: Annotated[
        str,
        Field(
            description="Why it exists: a merchant asked, or something has to be undone.",
            json_schema_extra={"enum": [*Cause]},
        ),
    ]
    status: Annotated[
        str,
        Field(
            description="Its state, which is that of its newest attempt.",
            json_schema_extra={"enum": [*OperationStatus]},
        ),
    ]
    amount: Annotated[str, Field(examples=["100.50"])]
    gateway: Annotated[str, Field(examples=["default"])]
    gateway_id: Annotated[str | None, Field(description="The gateway's name for it. Null until it has one.")]
    attempts: Annotated[int, Field(description="How many attempts were started.", examples=[1])]
    asks: Annotated[int, Field(description="How often the gateway was asked what became of the newest attempt.")]
    failure_code: str | None
    created_at: _Time
    updated_at: _Time
    explanation: Annotated[str, Field(description="Where it is and why, for people.")]


class DiagnosisView(PaymentView):
    """A payment as operators see it."""

    model_config = ConfigDict(title="Diagnosis")

    merchant_id: _Id
    correlation_id: Annotated[str, Field(description="The `X-Correlation-Id` of the request that created it.")]
    gateway: Annotated[str | None, Field(description="The gateway that was asked. Null before that.")]
    gateway_id: Annotated[str | None, Field(description="Its name for the charge or authorization.")]
    version: Annotated[int, Field(description="Grows with every change.", examples=[3])]
    explanation: Annotated[str, Field(description="Where the payment is and why, for people.")]
    operations: list[ExplainedOperationView]
    timeline: Annotated[list[TimelineEntryView], Field(description="Every step, oldest first.")]
    is_timeline_whole: Annotated[
        bool, Field(description="`false` if the oldest steps are left out because the answer would be too large.")
    ]
