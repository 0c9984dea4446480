"""The fields of payments in requests and answers. Requests are validated by these models, answers only described.

What merchants set is in `paybridge.intake.payment_request`. A field that Paybridge sets is one line in PaymentState.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from api.request.parameters import PageCursor, PageSize, Time, refuse_nul
from paybridge.intake.payment_request import AmountText, PaymentDetails
from paybridge.payments.domain.payment import Status


class CommandRequest(BaseModel):
    """The body of a request about a payment. Every field may be left out."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")


Reason = Annotated[
    str | None,
    Field(min_length=1, max_length=500, description="Your own words, for people.", examples=["Out of stock"]),
]


class CaptureRequest(CommandRequest):
    """How much to capture."""

    amount: Annotated[AmountText | None, Field(description="At most `amount_capturable`. All of it if absent.")] = None


class CancelRequest(CommandRequest):
    """Why the payment is canceled."""

    reason: Reason = None


class PendingOperation(BaseModel):
    """A capture or a cancellation that the gateway has not confirmed yet."""

    type: Literal["capture", "cancel"]
    operation_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    amount: Annotated[str, Field(examples=["100.50"])]
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class ScreeningView(BaseModel):
    """The decision on a payment before it was charged. `rules` are the ids of the rules that fired."""

    decision: Literal["allow", "review", "block"]
    score: int
    rules: list[str]


class PaymentState(BaseModel):
    """What Paybridge says about a payment."""

    payment_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    status: Status
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    amount: Annotated[str, Field(examples=["100.50"])]
    amount_capturable: Annotated[
        str,
        Field(description="What may still be captured. Zero unless the payment requires capture.", examples=["0.00"]),
    ]
    amount_captured: Annotated[str, Field(description="Captured so far.", examples=["0.00"])]
    amount_refunded: Annotated[str, Field(description="Refunded so far.", examples=["0.00"])]
    currency: Annotated[str, Field(examples=["RUB"])]
    capture_before: Annotated[
        str | None,
        Field(
            description="When the authorization expires. Null unless money was authorized.",
            json_schema_extra={"format": "date-time"},
        ),
    ]
    pending_operation: Annotated[
        PendingOperation | None, Field(description="The capture or cancellation under way. Null without one.")
    ]
    screening: Annotated[
        ScreeningView | None, Field(description="What screening decided. Null for a merchant without fraud rules.")
    ]
    failure_code: Annotated[
        str | None,
        Field(
            description="Why the payment failed or was canceled, for programs. Null otherwise.",
            examples=["card_declined"],
        ),
    ]
    failure_message: Annotated[
        str | None, Field(description="Why the payment failed or was canceled, for people. Null otherwise.")
    ]


def _returned(details: type[BaseModel], base: type[BaseModel]) -> type[BaseModel]:
    # The fields of `details` after those of `base`. An answer always has them, and without Annotated the hints are
    # the types without the rules.
    types = get_type_hints(details)
    fields: dict[str, Any] = {name: (types[name], ...) for name in details.model_fields}
    return create_model(f"Returned{details.__name__}", __base__=base, **fields)


class PaymentView(_returned(PaymentDetails, base=PaymentState)):  # type: ignore[misc]  # a base made at run time
    """A payment."""

    model_config = ConfigDict(title="Payment")


class PaymentPageView(BaseModel):
    """Payments, newest first. A page has fewer than `limit` if more would be too large to send."""

    model_config = ConfigDict(title="PaymentPage")

    data: list[PaymentView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="The `cursor` of the next page. Null on the last page.")]


class TimelineEntryView(BaseModel):
    """A step of a payment. `details` depends on the type and may gain fields.

    Steps at the gateway name their `operation` (charge, authorization, capture, void, refund or refund_reversal) and
    its `operation_id`. Events of a refund have a `refund_id`.
    """

    model_config = ConfigDict(title="TimelineEntry")

    type: Annotated[str, Field(examples=["payment.created", "event.relayed", "webhook.attempt_delivered"])]
    at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    sequence: Annotated[
        int | None,
        Field(description="The position among the events of the payment, or of the refund. Null for other steps."),
    ]
    details: dict[str, Any]


class TimelineView(BaseModel):
    """The history of a payment, oldest first."""

    model_config = ConfigDict(title="Timeline")

    data: list[TimelineEntryView]
    has_more: bool
    next_cursor: Annotated[
        str | None,
        Field(description="The `cursor` of the next page. Null on the last page, which mostly is the first."),
    ]


class PaymentListQuery(BaseModel):
    """Which payments to list. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[Status | None, Field(description="Only payments with this status.")] = None
    currency: Annotated[
        str | None, Field(pattern=r"^[A-Z]{3}$", description="Only payments in this ISO 4217 currency.")
    ] = None
    customer: Annotated[
        str | None,
        Field(min_length=1, max_length=255, description="Only payments of this customer."),
        AfterValidator(refuse_nul),
    ] = None
    created_from: Annotated[
        Time | None,
        Field(
            description="Created at or after this RFC 3339 time. A payment appears in lists up to a minute after its "
            "`created_at`, so a program that polls with its last `created_at` misses some. Use webhooks to follow "
            "payments. If you poll, go back a minute each time and skip the `payment_id`s that you know."
        ),
    ] = None
    created_to: Annotated[Time | None, Field(description="Created before this RFC 3339 time.")] = None
    limit: PageSize = 20
    cursor: PageCursor = None
