"""The fields of payments in requests and answers. Requests are validated by these models, answers only described.

A field that merchants set is one line in PaymentDetails, one that Paybridge sets is one line in PaymentState.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from api.request.parameters import PageCursor, PageSize, Time, refuse_nul
from paybridge.payments.domain.payment import Status

METADATA_KEYS_MAX = 50

_PAYMENT_METHOD = r"^[A-Za-z0-9_.\-]{1,64}$"

AmountText = Annotated[
    str,
    Field(
        description="A decimal string above zero with exactly as many decimal places as the currency has and at most "
        "15 digits.",
        examples=["100.50"],
        json_schema_extra={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]{2,4})?$"},
    ),
]
CurrencyCode = Annotated[str, Field(description="An upper-case ISO 4217 code.", examples=["RUB"])]
MetadataKey = Annotated[str, Field(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Field(max_length=500)]


class PaymentDetails(BaseModel):
    """What a merchant may say about a payment. Every field comes back unchanged."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")

    description: Annotated[
        str | None, Field(max_length=1000, description="Your own text, returned unchanged.", examples=["Order #123"])
    ] = None
    metadata: Annotated[
        dict[MetadataKey, MetadataValue] | None,
        Field(
            max_length=METADATA_KEYS_MAX,
            description="Your own keys and values, returned unchanged.",
            examples=[{"order_id": "123"}],
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2048,
            description="Where to send the payment's signed webhooks: an absolute https URL without credentials or "
            "fragment.",
            examples=["https://example.com/webhook"],
        ),
    ] = None
    customer: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=255,
            description="Your own name for the customer. Payments can be listed by it.",
            examples=["customer-42"],
        ),
    ] = None
    payment_method: Annotated[
        str | None, Field(pattern=_PAYMENT_METHOD, description="A token from the gateway.", examples=["tok_success"])
    ] = None
    capture: Annotated[
        Literal["automatic", "manual"],
        Field(
            description="`automatic` takes the money at once. `manual` authorizes it: the payment then waits in "
            "`requires_capture` for its capture or cancellation. `automatic` if absent.",
        ),
    ] = "automatic"


class RequestedAmount(BaseModel):
    """The money to take."""

    amount: AmountText
    currency: CurrencyCode


# Fields of the last base come first, in the document and in the list of errors.
class PaymentRequest(PaymentDetails, RequestedAmount):
    """A payment to create. Unknown fields are refused, so that a misspelled one is noticed."""


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


_DETAILS = tuple(PaymentDetails.model_fields)


def payment_details(request: PaymentDetails) -> dict[str, Any]:
    """Return the fields of PaymentDetails by name."""
    return {name: getattr(request, name) for name in _DETAILS}


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
