"""How the OpenAPI document describes the refund routes."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import (
    DESCRIBED,
    PART_CODES,
    REPLAYED,
    UNREADABLE,
    WAITED,
    conflict,
    key_parameter,
    optional_body,
    request_schema,
    wait_parameter,
)
from api.openapi import (
    ARCHIVED,
    FOR_MERCHANTS,
    KEY_OR_TOKEN,
    QUERY_MALFORMED,
    REF,
    Responses,
    Schema,
    problem,
    text_header,
)
from api.routes.refunds.schemas import RefundRequest
from api.webhooks import event_schemas
from paybridge.core.field_rules import CODES

EXAMPLE_ID = "019a9f40-1c2d-7e3f-8a41-5b6c7d8e9f00"

_EXAMPLE_ORDER = {"amount": "30.00", "reason": "Damaged in transit", "metadata": {"return_id": "R-7"}}
_EXAMPLE = {
    "refund_id": EXAMPLE_ID,
    "payment_id": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111",
    "status": "pending",
    "currency": "RUB",
    **_EXAMPLE_ORDER,
    "failure_code": None,
    "created_at": "2026-04-17T12:05:00.123456+00:00",
    "updated_at": "2026-04-17T12:05:00.123456+00:00",
}

_LOCATION = {"Location": text_header("The path of the refund.", f"/api/v1/refunds/{EXAMPLE_ID}")}
_PAYMENT_NOT_FOUND: Responses = {
    404: problem("The merchant has no such payment.", "payment_not_found"),
    410: ARCHIVED,
}
_REFUND_NOT_FOUND: Responses = {404: problem("The merchant has no such refund.", "refund_not_found"), 410: ARCHIVED}


def refund_schemas() -> dict[str, Schema]:
    """Return the schemas that FastAPI does not find, and the example that it would strip of its nulls."""
    return {
        "RefundView": {**event_schemas()["RefundView"], "examples": [_EXAMPLE]},
        "RefundRequest": request_schema(RefundRequest),
        "RefundPage": {
            "title": "RefundPage",
            "description": "Refunds, newest first. A page has fewer than `limit` if more would be too large to send.",
            "type": "object",
            "properties": {
                "data": {"type": "array", "items": {"$ref": REF.format(model="RefundView")}},
                "has_more": {"type": "boolean"},
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the next page. Null on the last page.",
                },
            },
            "required": ["data", "has_more", "next_cursor"],
        },
    }


def _json(model: str) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": REF.format(model=model)}}}}


CREATE_REFUND: dict[str, Any] = {
    "operation_id": "createRefund",
    "summary": "Refund a payment",
    "response_description": "Accepted. `Idempotency-Replayed: true` marks the repeated answer of an earlier request.",
    "responses": {
        202: {**_json("RefundView"), "headers": _LOCATION | REPLAYED},
        409: conflict(
            "The payment has no money to give back: `detail` says why.", "payment_not_refundable", location=_LOCATION
        ),
        422: problem(
            "The request breaks a rule. `amount_exceeds_refundable` has a member `refundable`: a decimal string with "
            "what is left, less the refunds that are under way.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            "amount_exceeds_refundable",
            *PART_CODES,
            field_codes=CODES,
            headers=_LOCATION | DESCRIBED,
        ),
        **UNREADABLE,
        **_PAYMENT_NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [key_parameter("refund", "a second refund")],
        "requestBody": optional_body("RefundRequest", _EXAMPLE_ORDER),
    },
}

READ_REFUND: dict[str, Any] = {
    "operation_id": "readRefund",
    "summary": "Read a refund",
    "response_description": "The refund.",
    "responses": {
        200: {**_json("RefundView"), "headers": WAITED},
        400: problem("The request cannot be parsed.", "header_repeated"),
        **_REFUND_NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [wait_parameter("refund")]},
}


def _list(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "response_description": "A page of refunds.",
        "responses": {
            200: _json("RefundPage"),
            400: QUERY_MALFORMED,
            422: problem("A parameter is invalid.", "validation_failed", "cursor_invalid", field_codes=CODES),
            **FOR_MERCHANTS,
        },
        "openapi_extra": {"security": KEY_OR_TOKEN},
    }


LIST_REFUNDS = _list("listRefunds", "List refunds")
LIST_REFUNDS_OF_PAYMENT = _list("listRefundsOfPayment", "List the refunds of a payment")
LIST_REFUNDS_OF_PAYMENT["responses"] |= _PAYMENT_NOT_FOUND
