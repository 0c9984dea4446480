"""How the OpenAPI document describes the routes of reviews."""

from __future__ import annotations

from typing import Any

from api.openapi import (
    API_KEY_ONLY,
    FOR_MERCHANTS,
    REF,
    RETRY_AFTER,
    Responses,
    Schema,
    header_parameter,
    problem,
    text_header,
)
from api.request.headers import KEY_CHARACTERS_MAX, KEY_PATTERN
from api.request.json_body import BODY_BYTES_MAX

# The limit of fraud.domain.reviews, which no cold start has to load.
NOTE_CHARACTERS_MAX = 500
_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
_EXAMPLE_KEY = "5f0c1a52-3d8e-4f1b-9a55-2f6f0f7f8a10"
_LOCATION = {"Location": text_header("The path of the payment.", f"/api/v1/payments/{_EXAMPLE_ID}")}


def review_schemas() -> dict[str, Schema]:
    """Return the schema of the request body, which FastAPI does not find."""
    note: Schema = {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": NOTE_CHARACTERS_MAX},
            {"type": "null"},
        ],
        "description": "Why, for the payment's timeline.",
        "examples": ["The customer confirmed the order by phone."],
    }
    return {
        "ReviewRequest": {
            "title": "ReviewRequest",
            "description": "The answer to a review. The body may be empty.",
            "type": "object",
            "additionalProperties": False,
            "properties": {"note": note},
        }
    }


def _responses(did: str) -> Responses:
    content = {"application/json": {"schema": {"$ref": REF.format(model="PaymentView")}}}
    replayed = text_header("`true` if this is the stored answer of an earlier request with the same key.", "true")
    return {
        202: {
            "description": f"The payment is {did}.",
            "headers": {**_LOCATION, "Idempotency-Replayed": replayed},
            "content": content,
        },
        400: problem(
            "The request cannot be parsed.",
            "header_repeated",
            "idempotency_key_missing",
            "idempotency_key_invalid",
            "json_invalid",
            "json_duplicate_key",
            "json_too_deep",
            "json_text_unstorable",
            "request_malformed",
        ),
        404: problem("The merchant has no such payment.", "payment_not_found"),
        409: problem(
            "The payment does not wait for a review, now or any longer. Or a request with this key is in progress, or "
            "its answer is older than 24 hours and was deleted.",
            "payment_not_in_review",
            "idempotency_key_in_flight",
            "idempotency_key_expired",
            headers=RETRY_AFTER | _LOCATION,
        ),
        413: problem(f"The body has more than {BODY_BYTES_MAX} bytes.", "body_too_large"),
        415: problem("The body is not JSON in UTF-8.", "content_type_unsupported", "content_encoding_unsupported"),
        422: problem(
            "The request breaks a rule.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            field_codes=("note_invalid", "unknown_member"),
            headers=_LOCATION,
        ),
        **FOR_MERCHANTS,
    }


def _extra(example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": REF.format(model="ReviewRequest")}
    return {
        "security": API_KEY_ONLY,
        "parameters": [
            header_parameter(
                "Idempotency-Key",
                "A new value for each answer. A request with the same key and the same members gets the same answer.",
                required=True,
                schema={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": KEY_CHARACTERS_MAX,
                    "pattern": KEY_PATTERN,
                    "example": _EXAMPLE_KEY,
                },
            )
        ],
        "requestBody": {"required": False, "content": {"application/json": {"schema": schema, "example": example}}},
    }


APPROVE: dict[str, Any] = {
    "operation_id": "approvePayment",
    "summary": "Approve a payment in review",
    "responses": _responses("approved and processing"),
    "openapi_extra": _extra({"note": "The customer confirmed the order by phone."}),
}

REJECT: dict[str, Any] = {
    "operation_id": "rejectPayment",
    "summary": "Reject a payment in review",
    "responses": _responses("rejected: it has failed with `review_rejected`"),
    "openapi_extra": _extra({"note": "The card was reported stolen."}),
}
