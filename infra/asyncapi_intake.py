"""The message by which others order payments, for the AsyncAPI document: its schema is that of the validation."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from paybridge.intake.payment_message import MESSAGE_TYPE, MessageEnvelope
from paybridge.intake.payment_request import PaymentRequest

EXAMPLE = {
    "type": MESSAGE_TYPE,
    "idempotency_key": "order-4711",
    "amount": "100.50",
    "currency": "EUR",
    "user_id": "user_123",
    "merchant_id": "0d3e3a52-7b1e-4f0e-9c3a-0d6b5f1a2e01",
    "payment_method": "tok_success",
    "metadata": {"order_id": "4711"},
}


def message() -> dict[str, Any]:
    """Return the message."""
    return {
        "name": MESSAGE_TYPE,
        "title": MESSAGE_TYPE,
        "summary": "Order a payment.",
        "description": "The same idempotency key orders the same payment, by message and by HTTP together. What breaks "
        "a rule goes to payments.dead with the reason.",
        "contentType": "application/json",
        "payload": _payload(),
        "examples": [{"name": "order", "payload": EXAMPLE}],
    }


def _payload() -> dict[str, Any]:
    members = _members(MessageEnvelope) | _members(PaymentRequest)
    # Its name in a message is user_id.
    del members["customer"]
    exact = {"type": "number", "description": "Read digit by digit, never as a float.", "exclusiveMinimum": 0}
    amount = members["amount"]
    described = {name: amount.pop(name) for name in ("description", "examples", "title")}
    members["amount"] = {**described, "anyOf": [amount, exact]}
    required = [*MessageEnvelope.model_json_schema()["required"], *PaymentRequest.model_json_schema()["required"]]
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def _members(model: type[BaseModel]) -> dict[str, Any]:
    properties = model.model_json_schema()["properties"].items()
    return {name: {key: part for key, part in member.items() if key != "default"} for name, member in properties}
