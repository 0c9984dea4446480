"""The fields of requests about payouts. core/schemas describes the payout itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.request.parameters import PageQuery, Time
from paybridge.intake.payment_request import RequestedAmount
from paybridge.ledger.domain.payouts import PayoutStatus

_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")


class PayoutRequest(RequestedAmount):
    """The money to pay out."""

    model_config = _STRICT


class SettleRequest(BaseModel):
    """How a payout ended."""

    model_config = _STRICT

    outcome: Annotated[
        Literal["paid", "failed"],
        Field(description="`paid`: the money has arrived. `failed`: it comes back and is available again."),
    ]
    reason: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=500,
            pattern="^[^\\x00]*$",
            description="Why it failed, for the merchant. Ignored for `paid`.",
            examples=["The bank account was closed"],
        ),
    ] = None


class PayoutListQuery(PageQuery):
    """Which payouts to list. Unknown parameters are refused."""

    status: Annotated[PayoutStatus | None, Field(description="Only payouts with this status.")] = None
    currency: Annotated[
        str | None, Field(pattern=r"^[A-Z]{3}$", description="Only payouts in this ISO 4217 currency.")
    ] = None
    created_from: Annotated[Time | None, Field(description="Created at or after this RFC 3339 time.")] = None
    created_to: Annotated[Time | None, Field(description="Created before this RFC 3339 time.")] = None
