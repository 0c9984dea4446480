"""How the OpenAPI document describes the payout routes."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import (
    AMOUNT_CODES,
    DESCRIBED,
    REPLAYED,
    UNREADABLE,
    key_parameter,
    optional_body,
    unreadable,
)
from api.openapi import (
    FOR_MERCHANTS,
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    REF,
    Schema,
    json_answer,
    page_problems,
    problem,
    query_parameter,
    schemas_of,
    text_header,
)
from paybridge.core.field_rules import CODES

EXAMPLE_ID = "019a9f5e-2b7c-7d41-8f90-3c4d5e6f7a81"
_EXAMPLE_ORDER = {"amount": "250.00", "currency": "EUR"}
_EXAMPLE = {
    "payout_id": EXAMPLE_ID,
    "status": "pending",
    **_EXAMPLE_ORDER,
    "failure_reason": None,
    "created_at": "2026-04-17T18:00:00.123456+00:00",
    "updated_at": "2026-04-17T18:00:00.123456+00:00",
}
_LOCATION = {"Location": text_header("The path of the payout.", f"/api/v1/payouts/{EXAMPLE_ID}")}
_NOT_FOUND = problem("There is no such payout.", "payout_not_found")
_TIME: Schema = {"type": "string", "format": "date-time"}
_FILTERS = [
    query_parameter(
        "status", "Only payouts with this status.", {"type": "string", "enum": ["pending", "paid", "failed"]}
    ),
    query_parameter("currency", "Only payouts in this ISO 4217 currency.", {"type": "string", "pattern": "^[A-Z]{3}$"}),
    query_parameter("created_from", "Created at or after this RFC 3339 time.", _TIME),
    query_parameter("created_to", "Created before this RFC 3339 time.", _TIME),
]
_FILTER_CODES = ("currency_malformed", "not_an_option", "time_invalid")


def payout_schemas() -> dict[str, Schema]:
    """Return the schemas that FastAPI does not find, and the example."""
    # Only the document needs these models, and no cold start.
    from api.routes.payouts.schemas import PayoutRequest, SettleRequest
    from paybridge.core.event_schemas import read_schema

    view = read_schema("payout")
    del view["$schema"]
    return {
        **schemas_of([PayoutRequest, SettleRequest]),
        "PayoutView": {**view, "examples": [_EXAMPLE]},
        "PayoutPage": {
            "title": "PayoutPage",
            "description": "Payouts, newest first.",
            "type": "object",
            "properties": {
                "data": {"type": "array", "items": {"$ref": REF.format(model="PayoutView")}},
                "has_more": {"type": "boolean"},
                "next_cursor": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the next page. Null on the last page.",
                },
            },
            "required": ["data", "has_more", "next_cursor"],
        },
    }


CREATE: dict[str, Any] = {
    "operation_id": "createPayout",
    "summary": "Order a payout",
    "responses": {
        202: json_answer(
            "PayoutView",
            "Accepted. `Idempotency-Replayed: true` marks the repeated answer of an earlier request.",
            _LOCATION | REPLAYED,
        ),
        422: problem(
            "The request breaks a rule. `insufficient_balance` has a member `available`: a decimal string with what is "
            "available in the currency, below zero if more was refunded than was left.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            "insufficient_balance",
            *AMOUNT_CODES,
            "currency_unsupported",
            field_codes=CODES,
            headers=_LOCATION | DESCRIBED,
        ),
        **UNREADABLE,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [key_parameter("payout", "a second payout")],
        "requestBody": {**optional_body("PayoutRequest", _EXAMPLE_ORDER), "required": True},
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listPayouts",
    "summary": "List payouts",
    "responses": {
        200: json_answer("PayoutPage", "A page of payouts."),
        **page_problems(*_FILTER_CODES),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [*_FILTERS, *PAGE_PARAMETERS]},
}

READ: dict[str, Any] = {
    "operation_id": "readPayout",
    "summary": "Read a payout",
    "responses": {
        200: json_answer("PayoutView", "The payout."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

SETTLE: dict[str, Any] = {
    "operation_id": "settlePayout",
    "summary": "Settle a payout",
    "responses": {
        200: json_answer("PayoutView", "The payout is settled."),
        404: _NOT_FOUND,
        409: problem(
            "The payout has ended in the other way. `payout_status` says how.",
            "payout_settled",
        ),
        422: problem("The request breaks a rule.", "json_not_an_object", "validation_failed", field_codes=CODES),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {**optional_body("SettleRequest", {"outcome": "paid"}), "required": True},
    },
}
