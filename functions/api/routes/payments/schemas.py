"""The shapes of requests and answers: what the OpenAPI document says, and for requests what is enforced."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from paybridge.payments.domain.payment import Status

METADATA_KEYS_MAX: Final = 50

_PAYMENT_METHOD: Final = r"^[A-Za-z0-9_.\-]{1,64}$"
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PAGE_SIZE: Final = re.compile(r"[1-9][0-9]{0,2}")

AmountText = Annotated[
    str,
    Field(
        description="A decimal string with exactly as many places as the currency has, above zero, at most 15 digits.",
        examples=["100.50"],
        json_schema_extra={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]{2,4})?$"},
    ),
]
CurrencyCode = Annotated[str, Field(description="An upper-case ISO 4217 code.", examples=["RUB"])]
MetadataKey = Annotated[str, Field(min_length=1, max_length=40)]
MetadataValue = Annotated[str, Field(max_length=500)]


class PaymentRequest(BaseModel):
    """A payment to make. Members that are not listed are refused, so that a typing error cannot pass unseen."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, regex_engine="rust-regex")

    amount: AmountText
    currency: CurrencyCode
    description: Annotated[str | None, Field(max_length=1000, examples=["Order #123"])] = None
    metadata: Annotated[
        dict[MetadataKey, MetadataValue] | None,
        Field(max_length=METADATA_KEYS_MAX, description="Yours; comes back unchanged.", examples=[{"order_id": "123"}]),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2048,
            description="Where the signed outcome goes: an absolute https URL without login or fragment.",
            examples=["https://example.com/webhook"],
        ),
    ] = None
    customer: Annotated[str | None, Field(min_length=1, max_length=255, examples=["customer-42"])] = None
    payment_method: Annotated[
        str | None, Field(pattern=_PAYMENT_METHOD, description="A token of the gateway's.", examples=["tok_success"])
    ] = None
    capture: Annotated[
        Literal["automatic", "manual"], Field(description="`manual` is refused (`capture_not_supported`).")
    ] = "automatic"


def _refuse_loose_time(value: Any) -> Any:
    # A plus sign that was not percent-encoded arrives as a blank; nothing else can stand there.
    text = value.replace(" ", "+") if isinstance(value, str) else ""
    if not _RFC3339.fullmatch(text):
        raise PydanticCustomError("datetime_invalid", "Must be an RFC 3339 time with seconds and a UTC offset.")
    return text


def _refuse_loose_page_size(value: Any) -> Any:
    if isinstance(value, str) and not _PAGE_SIZE.fullmatch(value):
        raise PydanticCustomError("limit_invalid", "Must be a whole number from 1 to 100.")
    return value


def _refuse_nul(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("text_unstorable", "Must not contain NUL.")
    return value


def _in_utc(moment: datetime) -> datetime:
    # Near the ends of the calendar an offset leads out of it. Nothing was created out there, so the end itself says
    # the same as the moment beyond it.
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


Time = Annotated[AwareDatetime, BeforeValidator(_refuse_loose_time), AfterValidator(_in_utc)]


class PaymentListQuery(BaseModel):
    """Which payments to list. Parameters that are not listed are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Annotated[Status | None, Field(description="Only payments in this status.")] = None
    currency: Annotated[str | None, Field(pattern=r"^[A-Z]{3}$", description="Only this ISO 4217 currency.")] = None
    customer: Annotated[
        str | None,
        Field(min_length=1, max_length=255, description="Only this customer."),
        AfterValidator(_refuse_nul),
    ] = None
    created_from: Annotated[Time | None, Field(description="Created at or after this RFC 3339 time.")] = None
    created_to: Annotated[Time | None, Field(description="Created before this RFC 3339 time.")] = None
    limit: Annotated[
        int, BeforeValidator(_refuse_loose_page_size), Field(ge=1, le=100, description="Payments on a page.")
    ] = 20
    cursor: Annotated[str | None, Field(max_length=64, description="`next_cursor` of the page before.")] = None


class PaymentView(BaseModel):
    """A payment as merchants see it."""

    model_config = ConfigDict(title="Payment")

    payment_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    status: Status
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    amount: Annotated[str, Field(examples=["100.50"])]
    amount_captured: Annotated[str, Field(examples=["0.00"])]
    amount_refunded: Annotated[str, Field(examples=["0.00"])]
    currency: Annotated[str, Field(examples=["RUB"])]
    capture: Literal["automatic", "manual"]
    description: str | None
    metadata: dict[str, str] | None
    webhook_url: str | None
    customer: str | None
    payment_method: str | None
    failure_code: Annotated[str | None, Field(examples=["card_declined"])]
    failure_message: str | None


class PaymentPageView(BaseModel):
    """Payments, newest first."""

    model_config = ConfigDict(title="PaymentPage")

    data: list[PaymentView]
    has_more: bool
    next_cursor: Annotated[str | None, Field(description="Give this as `cursor` for the next page; null on the last.")]


class TimelineEntryView(BaseModel):
    """One thing that happened to a payment. `details` depends on the type and may gain members."""

    model_config = ConfigDict(title="TimelineEntry")

    type: Annotated[str, Field(examples=["payment.created", "event.relayed", "webhook.attempt_delivered"])]
    at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    sequence: Annotated[int | None, Field(description="Position among the payment's events.")]
    details: dict[str, Any]


class TimelineView(BaseModel):
    """Everything that happened to a payment, oldest first."""

    model_config = ConfigDict(title="Timeline")

    data: list[TimelineEntryView]


class HealthView(BaseModel):
    """The function is alive."""

    model_config = ConfigDict(title="Health")

    status: Literal["ok"]


class ReadinessCheckView(BaseModel):
    """One part that payments need."""

    model_config = ConfigDict(title="ReadinessCheck", extra="allow")

    name: Literal["database", "schema", "relay", "broker"]
    ok: bool


class ReadinessView(BaseModel):
    """Whether payments can be taken."""

    model_config = ConfigDict(title="Readiness")

    status: Literal["ready"]
    checks: list[ReadinessCheckView]


class FieldErrorView(BaseModel):
    """One member of the input that breaks a rule."""

    model_config = ConfigDict(title="FieldError")

    field: Annotated[str, Field(description="The path of the member.", examples=["amount", "metadata.order_id"])]
    code: str
    detail: str


class ProblemView(BaseModel):
    """An error as RFC 9457 has it."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: Annotated[str, Field(examples=["urn:paybridge:problem:amount_places"])]
    title: str
    status: int
    detail: str
    code: Annotated[str, Field(description="Stable: programs may rely on it.", examples=["amount_places"])]
    errors: list[FieldErrorView]
    request_id: str
