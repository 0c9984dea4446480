"""How the OpenAPI document describes the routes of API keys."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
from api.openapi import (
    FOR_MERCHANTS,
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    Responses,
    Schema,
    json_answer,
    page_problems,
    problem,
    schemas_of,
)

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d333"
_EXAMPLE: dict[str, Any] = {
    "key_id": _EXAMPLE_ID,
    "name": "Shop, production",
    "role": "merchant",
    "merchant_id": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444",
    "last_four": "1oTn",
    "status": "active",
    "rate_limit": None,
    "created_at": "2026-12-01T12:00:00.000000+00:00",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
    "replaced_by": None,
}
_BODY_CODES = (
    "merchant_not_allowed",
    "merchant_unknown",
    "expires_at_past",
    "not_a_string",
    "not_an_object",
    "not_an_option",
    "number_invalid",
    "required",
    "text_malformed",
    "text_too_long",
    "text_too_short",
    "text_unstorable",
    "time_invalid",
    "unknown_member",
)


def key_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.keys.schemas import MODELS

    schemas = schemas_of(MODELS)
    schemas["KeyView"]["examples"] = [_EXAMPLE]
    return schemas


def _create(operation_id: str, model: str, example: dict[str, Any], others: Responses) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": "Create an API key",
        "tags": ["api keys"],
        "responses": {
            201: json_answer("NewKeyView", "The key. It is shown here and never again."),
            422: problem(
                "The request breaks a rule.",
                *("json_not_an_object", "validation_failed", "merchant_not_allowed", "merchant_unknown"),
                *("expires_at_past", "required"),
                field_codes=_BODY_CODES,
            ),
            **unreadable(),
            **others,
        },
        "openapi_extra": {"security": KEY_OR_TOKEN, "requestBody": optional_body(model, example)},
    }


def _list(operation_id: str, others: Responses) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": "List API keys",
        "tags": ["api keys"],
        "responses": {
            200: json_answer("KeyListView", "A page of keys."),
            **page_problems(),
            **others,
        },
        "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
    }


def _rotate(operation_id: str, others: Responses) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": "Rotate an API key",
        "tags": ["api keys"],
        "responses": {
            201: json_answer("NewKeyView", "The new key. It is shown here and never again."),
            404: problem("There is no such key.", "api_key_not_found"),
            409: problem("The key was rotated before, or does not work any more.", "api_key_not_rotatable"),
            422: problem(
                "The request breaks a rule.",
                *("json_not_an_object", "validation_failed"),
                field_codes=("number_invalid", "unknown_member"),
            ),
            **unreadable(),
            **others,
        },
        "openapi_extra": {
            "security": KEY_OR_TOKEN,
            "requestBody": optional_body("RotationRequest", {"overlap_seconds": 3600}),
        },
    }


def _revoke(operation_id: str, others: Responses) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": "Revoke an API key",
        "tags": ["api keys"],
        "responses": {
            204: {"description": "The key is revoked, now or before."},
            400: problem("The request cannot be parsed.", "header_repeated"),
            404: problem("There is no such key.", "api_key_not_found"),
            **others,
        },
        "openapi_extra": {"security": KEY_OR_TOKEN},
    }


_FOR_ANYONE = {"name": "Night shift", "role": "operator", "expires_at": "2027-01-01T00:00:00Z"}

CREATE = _create("createApiKey", "KeyRequest", {"name": "Shop, production"}, FOR_MERCHANTS)
CREATE_FOR_ANYONE = _create("createApiKeyForAnyone", "AnyonesKeyRequest", _FOR_ANYONE, FOR_STAFF)
LIST = _list("listApiKeys", FOR_MERCHANTS)
LIST_OF_ANYONE = _list("listEveryApiKey", FOR_STAFF)
ROTATE = _rotate("rotateApiKey", FOR_MERCHANTS)
ROTATE_ANYONES = _rotate("rotateAnyApiKey", FOR_STAFF)
REVOKE = _revoke("revokeApiKey", FOR_MERCHANTS)
REVOKE_ANYONES = _revoke("revokeAnyApiKey", FOR_STAFF)
