"""The members that a message has beside those of the payment that it orders."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from paybridge.core.strict_json import JsonNumber
from paybridge.payments.idempotency import KEY_CHARACTERS_MAX

MESSAGE_TYPE = "PaymentInitiated"


def _number_as_text(value: Any) -> Any:
    return value.text if isinstance(value, JsonNumber) else value


class MessageEnvelope(BaseModel):
    """Who orders, and under which key. The other members are those of a payment."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, regex_engine="rust-regex")

    type: Annotated[Literal["PaymentInitiated"] | None, Field(description="May be left out.")] = None
    idempotency_key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=KEY_CHARACTERS_MAX,
            pattern=r"^[!-~]+$",
            description="Visible ASCII. One key makes one payment of a merchant, by message and by HTTP together.",
            examples=["order-4711"],
        ),
    ]
    user_id: Annotated[
        str,
        Field(min_length=1, max_length=255, description="The payment's `customer`.", examples=["user_123"]),
    ]
    merchant_id: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            description="The merchant to pay. Required, except on the offline stack, where it is the demo merchant.",
            json_schema_extra={"format": "uuid"},
        ),
    ] = None
    timestamp: Annotated[
        str | None,
        Field(
            max_length=64,
            description="When it was ordered, as text or number in the sender's words. It is not kept.",
            json_schema_extra={"anyOf": [{"type": "string", "maxLength": 64}, {"type": "number"}, {"type": "null"}]},
        ),
        BeforeValidator(_number_as_text),
    ] = None


ENVELOPE_MEMBERS = frozenset(MessageEnvelope.model_fields)
