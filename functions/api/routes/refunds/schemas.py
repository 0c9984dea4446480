"""The fields of requests about refunds. core/schemas describes the refund itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.request.parameters import PageQuery, Time
from api.routes.payments.schemas import CommandRequest, Reason
from paybridge.intake.payment_request import METADATA_KEYS_MAX, AmountText, MetadataKey, MetadataValue
from paybridge.payments.domain.refund import RefundStatus


class RefundRequest(CommandRequest):
    """How much to refund, and why."""

    amount: Annotated[
        AmountText | None,
        Field(description="At most what is left of the payment. All of it if absent."),
    ] = None
    reason: Reason = None
    metadata: Annotated[
        dict[MetadataKey, MetadataValue] | None,
        Field(
            max_length=METADATA_KEYS_MAX,
            description="Your own keys and values, returned unchanged.",
            examples=[{"return_id": "R-7"}],
        ),
    ] = None


class RefundListQuery(PageQuery):
    """Which refunds to list. Unknown parameters are refused."""

    payment_id: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            description="Only refunds of this payment.",
            json_schema_extra={"format": "uuid"},
        ),
    ] = None
    status: Annotated[RefundStatus | None, Field(description="Only refunds with this status.")] = None
    created_from: Annotated[Time | None, Field(description="Created at or after this RFC 3339 time.")] = None
    created_to: Annotated[Time | None, Field(description="Created before this RFC 3339 time.")] = None
