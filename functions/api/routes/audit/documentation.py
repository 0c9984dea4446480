"""How the OpenAPI document describes audits of the outbox."""

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

_TIME: Schema = {"type": "string", "format": "date-time", "example": "2026-04-17T00:00:00Z"}
_PARAMETERS = [
    query_parameter("from", "Payments and events from this time on. A day before `to` if absent.", _TIME),
    query_parameter("to", "Payments and events before this time. This moment if absent.", _TIME),
    query_parameter(
        "grace_seconds",
        "What was published, or due, for less than this may be on its way. 300 if absent.",
        {"type": "number", "minimum": 0, "maximum": 86_400, "example": 300},
    ),
    query_parameter("cursor", "The `next_cursor` of the answer before.", {"type": "string"}),
]


def audit_schemas() -> dict[str, Schema]:
    """Return the schemas of the answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.audit.schemas import MODELS

    return schemas_of(MODELS)


READ_LAST: dict[str, Any] = {
    "operation_id": "readLastOutboxAudit",
    "summary": "Read the last nightly audit",
    "responses": {
        200: json_answer("NightlyAuditView", "What was audited, and the gaps."),
        400: QUERY_MALFORMED,
        404: problem("No nightly audit has ended yet.", "audit_not_found"),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
AUDIT: dict[str, Any] = {
    "operation_id": "auditOutbox",
    "summary": "Audit the outbox",
    "responses": {
        200: json_answer("OutboxAudit", "What was checked, and the gaps."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            "validation_failed",
            field_codes=(
                *("cursor_invalid", "number_invalid", "range_invalid", "repeated", "time_invalid", "unknown_member"),
            ),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": _PARAMETERS},
}
