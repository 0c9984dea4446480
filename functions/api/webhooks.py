"""How the OpenAPI document describes webhooks: by the files that describe the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from api.openapi import REF, Schema, header_parameter
from paybridge.core.event_schemas import read_schema, with_references
from paybridge.core.events import (
    OUTCOME_TYPES,
    PAYMENT_CANCELED,
    PAYMENT_FAILED,
    PAYMENT_PARTIALLY_REFUNDED,
    PAYMENT_REFUNDED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_REVIEW,
    PAYMENT_SUCCEEDED,
    REFUND_CREATED,
    REFUND_FAILED,
    REFUND_SUCCEEDED,
)
from paybridge.payments.domain.events import payment_event
from paybridge.payments.domain.facts import operation_fact
from paybridge.payments.domain.operation import (
    DEFAULT_GATEWAY,
    Cause,
    Kind,
    Operation,
    OperationStatus,
    first_operation,
)
from paybridge.payments.domain.payment import Payment, Status
from paybridge.payments.domain.refund import refund_event
from paybridge.webhooks.domain.webhook import build_body

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


# How answers show what the data of an event is made of.
_VIEWS = {
    "payment": REF.format(model="PaymentView"),
    "refund": REF.format(model="RefundView"),
    "operation": REF.format(model="PaymentOperation"),
}
_REFUND_ID = UUID("019a9f74-4a8c-7f10-9d2e-6b1c5e0f8a23")
_REFUNDED_MINOR = 3000


@dataclass(frozen=True, slots=True)
class _Example:
    view: Mapping[str, Any]
    sequence: int


def webhooks(payment: Payment) -> dict[str, Any]:
    """Return the section `webhooks` of the document: each type of event, with what it says of the example payment."""
    examples = {**_payment_examples(payment), **_refund_examples(payment)}
    return {type_: {"post": _operation(type_, examples[type_])} for type_ in OUTCOME_TYPES}


def event_schemas() -> dict[str, Schema]:
    """Return the schemas of what webhooks carry, one for each type of event."""
    events = [with_references(_mergeable(read_schema(type_)), _VIEWS) for type_ in OUTCOME_TYPES]
    schemas = {event["title"]: event for event in events}
    schemas |= {"RefundView": read_schema("refund"), "PaymentOperation": read_schema("operation")}
    for schema in schemas.values():
        del schema["$schema"]
    return schemas


def _mergeable(event: Schema) -> Schema:
    """Return the schema of an event without what generators of clients cannot merge with the view of its data.

    They drop the model of an event that narrows a member to null or from null, or that has a constant without a type.
    """
    own = event["properties"]["data"]["allOf"][1]
    status = {"type": "string", "enum": [own["properties"]["status"]["const"]]}
    own["properties"] = {"status": status} | {name: own["properties"][name] for name in own["required"]}
    return event


def _payment_examples(payment: Payment) -> dict[str, _Example]:
    settled = replace(payment, updated_at=payment.created_at + timedelta(seconds=3), last_sequence=3)
    charged = replace(settled, status=Status.SUCCEEDED, captured_minor=payment.amount_minor)
    states = {
        PAYMENT_REVIEW: replace(
            settled,
            status=Status.REVIEW,
            screening={"decision": "review", "score": 60, "rules": ["large-amount"]},
            last_sequence=2,
        ),
        PAYMENT_REQUIRES_CAPTURE: replace(
            settled,
            status=Status.REQUIRES_CAPTURE,
            capture="manual",
            authorized_minor=payment.amount_minor,
            capture_before=settled.updated_at + timedelta(days=7),
        ),
        PAYMENT_SUCCEEDED: charged,
        PAYMENT_FAILED: replace(
            settled, status=Status.FAILED, failure_code="card_declined", failure_message="The card was declined."
        ),
        PAYMENT_CANCELED: replace(settled, status=Status.CANCELED, last_sequence=2),
        PAYMENT_PARTIALLY_REFUNDED: replace(
            charged, status=Status.PARTIALLY_REFUNDED, refunded_minor=_REFUNDED_MINOR, last_sequence=4
        ),
        PAYMENT_REFUNDED: replace(
            charged, status=Status.REFUNDED, refunded_minor=payment.amount_minor, last_sequence=5
        ),
    }
    charge = first_operation(charged, DEFAULT_GATEWAY, charged.updated_at)
    hold = replace(charge, kind=Kind.AUTHORIZATION)
    operations = {PAYMENT_REQUIRES_CAPTURE: hold, PAYMENT_SUCCEEDED: charge, PAYMENT_FAILED: charge}
    return {type_: _payment_example(type_, state, operations.get(type_)) for type_, state in states.items()}


def _payment_example(type_: str, state: Payment, operation: Operation | None) -> _Example:
    fact = None if operation is None else operation_fact(operation, state)
    event = payment_event(state.id, type_, state, state.updated_at, fact)
    return _Example(event.data, state.last_sequence)


def _refund_examples(payment: Payment) -> dict[str, _Example]:
    created_at = payment.created_at + timedelta(hours=1)
    created = Operation(
        id=_REFUND_ID,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        kind=Kind.REFUND,
        cause=Cause.MERCHANT,
        gateway="default",
        amount_minor=_REFUNDED_MINOR,
        status=OperationStatus.ACCEPTED,
        reason="returned",
        metadata={"return_id": "R-7"},
        correlation_id="",
        last_sequence=1,
        created_at=created_at,
        updated_at=created_at,
    )
    ended = replace(created, updated_at=created_at + timedelta(seconds=2), last_sequence=2)
    states = {
        REFUND_CREATED: created,
        REFUND_SUCCEEDED: replace(ended, status=OperationStatus.SUCCEEDED),
        REFUND_FAILED: replace(ended, status=OperationStatus.DECLINED, failure_code="refund_declined"),
    }
    return {type_: _refund_example(type_, state, payment) for type_, state in states.items()}


def _refund_example(type_: str, state: Operation, payment: Payment) -> _Example:
    currency, places = payment.currency, payment.currency_places
    return _Example(refund_event(state.id, type_, state, currency, places, state.updated_at).data, state.last_sequence)


def _operation(type_: str, example: _Example) -> dict[str, Any]:
    schema = read_schema(type_)
    words = type_.replace("_", ".").split(".")
    body = build_body(type_, example.view["updated_at"], example.view, example.sequence)
    return {
        "operationId": "receive" + "".join(word.capitalize() for word in words),
        "summary": schema["description"].partition(".")[0],
        "description": f"{schema['description']} Paybridge sends this to the payment's `webhook_url`.",
        "security": [],
        "parameters": _HEADERS,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": REF.format(model=schema["title"])},
                    "example": orjson.loads(body),
                },
            },
        },
        "responses": _ANSWERS,
    }
