"""How the OpenAPI document describes the routes of dead letters."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import DESCRIBED, REPLAYED, key_parameter, optional_body, unreadable
from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    QUERY_MALFORMED,
    Schema,
    json_answer,
    problem,
    query_parameter,
    schemas_of,
)

# The values of dead_letters/domain.py and requests.py, which no cold start has to load.
_STATES = ["dead", "redriving", "redriven", "discarded"]
_FINGERPRINT: Schema = {"type": "string", "pattern": "^[0-9a-f]{16}$", "example": "3f9a61c0d2b84e17"}
_FILTERS = [
    query_parameter(
        "queue",
        "Only what died in this queue, or arrived in this dead-letter queue.",
        {"type": "string", "minLength": 1, "maxLength": 255, "example": "webhooks"},
    ),
    query_parameter("fingerprint", "Only this group.", _FINGERPRINT),
    query_parameter("state", "Only dead letters in this state.", {"type": "string", "enum": _STATES}),
]
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")
_FILTER_CODES = ("fingerprint_invalid", "not_an_option", "queue_invalid", "repeated", "unknown_member")
_NOT_FOUND = problem("There is no such dead letter.", "dead_letter_not_found")


def dead_letter_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.dead_letters.schemas import MODELS

    return schemas_of(MODELS)


LIST: dict[str, Any] = {
    "operation_id": "listDeadLetters",
    "summary": "List dead letters",
    "responses": {
        200: json_answer("DeadLetterList", "A page of dead letters."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            *("validation_failed", "cursor_invalid"),
            field_codes=(*_FILTER_CODES, "limit_invalid"),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [*_FILTERS, *PAGE_PARAMETERS]},
}

GROUPS: dict[str, Any] = {
    "operation_id": "groupDeadLetters",
    "summary": "List groups of equal faults",
    "responses": {
        200: json_answer("DeadLetterGroups", "The groups."),
        400: QUERY_MALFORMED,
        422: problem("A parameter breaks a rule.", "validation_failed", field_codes=_FILTER_CODES),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": _FILTERS},
}

REDRIVE: dict[str, Any] = {
    "operation_id": "redriveDeadLetters",
    "summary": "Redrive dead letters",
    "responses": {
        202: json_answer("Redrive", "What is published again, or would be.", REPLAYED),
        422: problem(
            "The request breaks a rule.",
            *("idempotency_key_reused", "json_not_an_object", "validation_failed"),
            field_codes=(
                *("fingerprint_invalid", "ids_invalid", "not_a_boolean", "queue_invalid", "rate_invalid"),
                *("selection_invalid", "unknown_member"),
            ),
            headers=DESCRIBED,
        ),
        **unreadable("idempotency_key_missing", "idempotency_key_invalid", headers=DESCRIBED),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [{**key_parameter("redrive", "a second one"), "required": False}],
        "requestBody": {
            **optional_body("RedriveRequest", {"fingerprint": "3f9a61c0d2b84e17", "dry_run": True}),
            "required": True,
        },
    },
}

SHOW: dict[str, Any] = {
    "operation_id": "readDeadLetter",
    "summary": "Read a dead letter",
    "responses": {
        200: json_answer("DeadLetterRecord", "The dead letter."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

DISCARD: dict[str, Any] = {
    "operation_id": "discardDeadLetter",
    "summary": "Discard a dead letter",
    "responses": {
        200: json_answer("DeadLetterView", "The dead letter is discarded."),
        404: _NOT_FOUND,
        409: problem("The dead letter is being redriven or was redriven.", "dead_letter_not_dead"),
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("note_invalid", "required", "unknown_member"),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {**optional_body("DiscardRequest", {"note": "Sent by hand."}), "required": True},
    },
}
