"""The fields of requests about merchants, and of the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from api.request.event_patterns import EventPattern
from api.request.parameters import refuse_nul
from api.routes.keys.schemas import RateLimitFields
from paybridge.access.domain.merchants import (
    EMAIL_CHARACTERS_MAX,
    EMAIL_PATTERN,
    NAME_CHARACTERS_MAX,
    NOTIFY_MAX,
    PHONE_PATTERN,
)
from paybridge.core.errors import InvalidInput
from paybridge.core.event_patterns import is_notify_pattern
from paybridge.core.money import exponent

_STRICT = ConfigDict(extra="forbid", frozen=True, regex_engine="rust-regex")


def _check_notified(text: str) -> str:
    if not is_notify_pattern(text):
        raise PydanticCustomError("event_not_notified", "broken")
    return text


def _check_currencies(fixed: dict[str, str]) -> dict[str, str]:
    try:
        for currency in fixed:
            exponent(currency)
    except InvalidInput:
        raise PydanticCustomError("currency_unsupported", "broken") from None
    return fixed


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("string_too_short", "broken", {"min_length": 1})
    return text


MerchantName = Annotated[
    str,
    Field(min_length=1, max_length=NAME_CHARACTERS_MAX, examples=["Acme"]),
    AfterValidator(refuse_nul),
    AfterValidator(_not_blank),
]
Email = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=EMAIL_CHARACTERS_MAX, examples=["pay@example.com"])]
Phone = Annotated[str, Field(pattern=PHONE_PATTERN, description="By E.164.", examples=["+4930123456"])]
Notify = Annotated[
    list[Annotated[EventPattern, AfterValidator(_check_notified)]],
    Field(
        max_length=NOTIFY_MAX,
        description="The events that are sent to `email` and, by SMS, to `phone`. No event if empty. "
        "`payment.created` and `payment.processing` are never sent: a family or `*` leaves them out.",
    ),
]
Percent = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})(\.[0-9]{1,4})?$", examples=["2.9"])]
FixedAmount = Annotated[str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})?$", examples=["0.30"])]


class FeesFields(BaseModel):
    """What a merchant pays for each successful payment."""

    model_config = ConfigDict(title="Fees", extra="forbid", frozen=True, regex_engine="rust-regex")

    percent: Annotated[Percent | None, Field(description="Of the payment's amount.")] = None
    fixed: Annotated[
        dict[str, FixedAmount] | None,
        Field(description="An amount beside it, by currency.", examples=[{"EUR": "0.30"}]),
        AfterValidator(lambda fixed: fixed if fixed is None else _check_currencies(fixed)),
    ] = None


class MerchantChanges(BaseModel):
    """The members of a merchant to change."""

    model_config = _STRICT

    name: MerchantName | None = None
    email: Email | None = None
    phone: Phone | None = None
    notify: Notify | None = None
    fees: FeesFields | None = None
    rate_limit: RateLimitFields | None = None
    gateway: Annotated[
        str | None, Field(description="The gateway of new payments, `default` if absent.", examples=["stripe"])
    ] = None


class MerchantRequest(MerchantChanges):
    """A merchant to create."""

    name: MerchantName


class MerchantView(BaseModel):
    """A merchant."""

    model_config = ConfigDict(title="Merchant")

    merchant_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    name: str
    email: str | None
    phone: str | None
    notify: list[str]
    fees: FeesFields | None
    fees_valid_from: Annotated[
        str | None,
        Field(
            description="Since when `fees` count, or from when on they will: a minute after they were changed.",
            json_schema_extra={"format": "date-time"},
        ),
    ]
    rate_limit: RateLimitFields | None
    gateway: str
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class NewMerchantView(MerchantView):
    """A new merchant."""

    model_config = ConfigDict(title="NewMerchant")

    webhook_secret: Annotated[
        str, Field(description="Signs the webhooks of payments with a `webhook_url`. It is never shown again.")
    ]


class MerchantListView(BaseModel):
    """A page of merchants."""

    model_config = ConfigDict(title="MerchantList")

    data: list[MerchantView]
    has_more: bool
    next_cursor: str | None


MODELS: tuple[type[BaseModel], ...] = (
    MerchantRequest,
    MerchantChanges,
    MerchantView,
    NewMerchantView,
    MerchantListView,
)
