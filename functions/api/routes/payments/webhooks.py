"""How the OpenAPI document describes the webhooks of a payment."""

from __future__ import annotations

from typing import Any

import orjson

from api.openapi import REF, Schema, header_parameter
from paybridge.core.events import PAYMENT_FAILED, PAYMENT_SUCCEEDED
from paybridge.webhooks.domain.webhook import build_body

_TELLS = {
    PAYMENT_SUCCEEDED: "The payment was charged",
    PAYMENT_FAILED: "The payment was not charged",
}
_HEADERS = [
    header_parameter(
        "webhook-id",
        "The id of the event, the same on every attempt. Handle each id once.",
        required=True,
        schema={"type": "string", "format": "uuid", "example": "019a9f3c-5d20-7a11-8c52-0d3f6a7b9e42"},
    ),
    header_parameter(
        "webhook-timestamp",
        "When this attempt was signed, in seconds since 1970.",
        required=True,
        schema={"type": "string", "pattern": "^[0-9]+$", "example": "1776427203"},
    ),
    header_parameter(
        "webhook-signature",
        "The signatures of `id.timestamp.body`, separated by spaces: one for each secret while a secret is rotated.",
        required=True,
        schema={
            "type": "string",
            "pattern": "^v1,[A-Za-z0-9+/]+=*( v1,[A-Za-z0-9+/]+=*)*$",
            "example": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
    ),
]
_ANSWERS = {
    "2XX": {"description": "Delivered, as soon as the status line arrives. The body is ignored."},
    "410": {"description": "Ends the webhooks of this payment."},
    "default": {
        "description": "A failed attempt, as is no answer. Redirects are not followed. Attempts are repeated with "
        "growing delays. `Retry-After` may lengthen the next delay, to a day at most."
    },
}


def payment_webhooks(examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the section `webhooks` of the document. `examples` holds a payment view for each type of event."""
    return {type_: {"post": _operation(type_, view)} for type_, view in examples.items()}


def event_schemas() -> dict[str, Schema]:
    """Return the schema of a webhook's body."""
    sequence = {
        "type": "integer",
        "minimum": 1,
        "description": "Counts the payment's events. Ignore an event with a lower one than the last you handled.",
    }
    data = {
        "allOf": [
            {"$ref": REF.format(model="PaymentView")},
            {"type": "object", "properties": {"sequence": sequence}, "required": ["sequence"]},
        ]
    }
    properties = {
        "type": {
            "type": "string",
            "description": "The type of the event. More types may follow.",
            "examples": [*_TELLS],
        },
        "timestamp": {"type": "string", "format": "date-time", "description": "When the event happened."},
        "data": data,
    }
    return {
        "PaymentEvent": {
            "title": "PaymentEvent",
            "type": "object",
            "description": "An event of a payment, as webhooks carry it.",
            "properties": properties,
            "required": [*properties],
        }
    }


def _operation(type_: str, view: dict[str, Any]) -> dict[str, Any]:
    words = type_.replace("_", ".").split(".")
    example = orjson.loads(build_body(type_, view["updated_at"], view, sequence=3))
    return {
        "operationId": "receive" + "".join(word.capitalize() for word in words),
        "summary": _TELLS[type_],
        "description": "Paybridge sends this to the payment's `webhook_url`.",
        "security": [],
        "parameters": _HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": REF.format(model="PaymentEvent")}, "example": example},
            },
        },
        "responses": _ANSWERS,
    }
