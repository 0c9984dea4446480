"""How the OpenAPI document describes the routes of reviews."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import DESCRIBED, REPLAYED, UNREADABLE, conflict, key_parameter, optional_body
from api.openapi import (
    ARCHIVED,
    FOR_MERCHANTS,
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    REF,
    Responses,
    Schema,
    json_answer,
    page_problems,
    problem,
    schemas_of,
    text_header,
)

# The limit of fraud.domain.reviews, which no cold start has to load.
NOTE_CHARACTERS_MAX = 500
_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
_LOCATION = {"Location": text_header("The path of the payment.", f"/api/v1/payments/{_EXAMPLE_ID}")}


def review_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.reviews.schemas import ReviewListView

    note: Schema = {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": NOTE_CHARACTERS_MAX},
            {"type": "null"},
        ],
        "description": "Why, for the payment's timeline.",
        "examples": ["The customer confirmed the order by phone."],
    }
    return schemas_of([ReviewListView]) | {
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
    return {
        202: {"description": f"The payment is {did}.", "headers": _LOCATION | REPLAYED, "content": content},
        404: problem("The merchant has no such payment.", "payment_not_found"),
        410: ARCHIVED,
        409: conflict(
            "The payment does not wait for a review, now or any longer.", "payment_not_in_review", location=_LOCATION
        ),
        422: problem(
            "The request breaks a rule.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            field_codes=("note_invalid", "unknown_member"),
            headers=_LOCATION | DESCRIBED,
        ),
        **UNREADABLE,
        **FOR_MERCHANTS,
    }


def _extra(example: dict[str, Any]) -> dict[str, Any]:
    return {
        "security": KEY_OR_TOKEN,
        "parameters": [key_parameter("answer to a review", "a second one")],
        "requestBody": optional_body("ReviewRequest", example),
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

LIST: dict[str, Any] = {
    "operation_id": "listReviews",
    "summary": "List payments in review",
    "responses": {
        200: json_answer("ReviewListView", "A page of payments in review."),
        **page_problems(),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}
