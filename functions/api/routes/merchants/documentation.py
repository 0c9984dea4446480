"""How the OpenAPI document describes the routes of merchants."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    Schema,
    json_answer,
    page_problems,
    problem,
    schemas_of,
    text_header,
)

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444"
_EXAMPLE_REQUEST: dict[str, Any] = {
    "name": "Acme",
    "email": "payments@acme.example",
    "notify": ["payment.failed", "webhook_endpoint.*"],
    "fees": {"percent": "2.9", "fixed": {"EUR": "0.30"}},
    "rate_limit": {"per_second": 50, "burst": 100},
}
_EXAMPLE: dict[str, Any] = {
    "merchant_id": _EXAMPLE_ID,
    "name": "Acme",
    "email": "payments@acme.example",
    "phone": None,
    "notify": ["payment.failed", "webhook_endpoint.*"],
    "fees": {"percent": "2.9", "fixed": {"EUR": "0.30"}},
    "fees_valid_from": "2026-12-01T12:00:00.000000+00:00",
    "rate_limit": {"per_second": 50, "burst": 100},
    "gateway": "default",
    "created_at": "2026-12-01T12:00:00.000000+00:00",
    "updated_at": "2026-12-01T12:00:00.000000+00:00",
}
_LOCATION = {"Location": text_header("The path of the merchant.", f"/api/v1/ops/merchants/{_EXAMPLE_ID}")}
_NOT_FOUND = problem("There is no such merchant.", "merchant_not_found")
_BODY_PROBLEM = problem(
    "The request breaks a rule.",
    *("json_not_an_object", "validation_failed"),
    field_codes=(
        *("currency_unsupported", "event_not_notified", "event_pattern_unknown", "gateway_unknown", "not_a_list"),
        "not_a_string",
        *("not_an_object", "number_invalid", "number_out_of_range", "required", "text_malformed", "text_too_long"),
        *("text_too_short", "text_unstorable", "too_many_members", "unknown_member"),
    ),
)


def merchant_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.merchants.schemas import MODELS

    schemas = schemas_of(MODELS)
    schemas["MerchantView"]["examples"] = [_EXAMPLE]
    return schemas


CREATE: dict[str, Any] = {
    "operation_id": "createMerchant",
    "summary": "Create a merchant",
    "responses": {
        201: json_answer("NewMerchantView", "The merchant, with its webhook secret.", _LOCATION),
        422: _BODY_PROBLEM,
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {**optional_body("MerchantRequest", _EXAMPLE_REQUEST), "required": True},
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listMerchants",
    "summary": "List merchants",
    "responses": {
        200: json_answer("MerchantListView", "A page of merchants."),
        **page_problems(),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readMerchant",
    "summary": "Read a merchant",
    "responses": {
        200: json_answer("MerchantView", "The merchant."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

CHANGE: dict[str, Any] = {
    "operation_id": "changeMerchant",
    "summary": "Change a merchant",
    "responses": {
        200: json_answer("MerchantView", "The merchant as it is now."),
        404: _NOT_FOUND,
        422: _BODY_PROBLEM,
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": optional_body("MerchantChanges", {"rate_limit": {"per_second": 100, "burst": 200}}),
    },
}
