"""How the OpenAPI document describes checks of invariants."""

from __future__ import annotations

from typing import Any

from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    QUERY_MALFORMED,
    Schema,
    json_answer,
    problem,
    query_parameter,
    schemas_of,
)

# `tests/functions/api/routes/verification` holds them equal to the checks that there are.
CHECKS = (
    *("balances", "debits_equal_credits", "payouts", "seals", "live_book_equals_log", "payments_equal_events"),
    "outbox",
)


def verification_schemas() -> dict[str, Schema]:
    """Return the schemas of the answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.verification.schemas import MODELS

    return schemas_of(MODELS)


VERIFY: dict[str, Any] = {
    "operation_id": "verifyInvariants",
    "summary": "Verify the invariants",
    "responses": {
        200: json_answer("Verification", "A finding for each check, also if an invariant is broken."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            "validation_failed",
            field_codes=("not_an_option", "repeated", "unknown_member"),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [
            query_parameter("check", "Only this check. All if absent.", {"type": "string", "enum": [*CHECKS]})
        ],
    },
}
