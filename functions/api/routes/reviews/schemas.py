"""The fields of the list of reviews, for the OpenAPI document; payments/list_reviews.py makes it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from api.routes.payments.schemas import PaymentView

_Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class ReviewDecisionView(BaseModel):
    """The decision that holds a payment back."""

    model_config = ConfigDict(title="ReviewDecision")

    decision: Annotated[str, Field(examples=["review"])]
    score: Annotated[int, Field(examples=[60])]
    rules: Annotated[list[str], Field(description="The ids of the rules that fired.", examples=[["large-amount"]])]
    rule_set_version: Annotated[int, Field(examples=[4])]
    facts: Annotated[dict[str, Any], Field(description="What the rules read. It depends on them.")]
    screened_at: _Time
    expires_at: Annotated[_Time | None, Field(description="When the review ends with a rejection.")]


class PaymentInReviewView(PaymentView):
    """A payment in review."""

    model_config = ConfigDict(title="PaymentInReview")

    merchant_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    review: Annotated[ReviewDecisionView | None, Field(description="Null if the decision is archived.")]


class ReviewListView(BaseModel):
    """Payments in review, the oldest first. A page has fewer than `limit` if more would be too large to send."""

    model_config = ConfigDict(title="ReviewList")

    data: list[PaymentInReviewView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]
