"""The members of a payment that is ordered, by HTTP or by message: one line each in PaymentDetails."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

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


_DETAILS = tuple(PaymentDetails.model_fields)


def payment_details(request: PaymentDetails) -> dict[str, Any]:
    """Return the fields of PaymentDetails by name."""
    return {name: getattr(request, name) for name in _DETAILS}
