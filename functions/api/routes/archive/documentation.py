"""How the OpenAPI document describes the routes of the archive."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
from api.openapi import FOR_STAFF, KEY_OR_TOKEN, Schema, json_answer, problem, schemas_of

_MALFORMED = problem("The request cannot be parsed.", "header_repeated")
_NOT_FOUND = problem("The archive has not looked at this month.", "month_not_found")


def archive_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.archive.schemas import MODELS

    return schemas_of(MODELS)


LIST: dict[str, Any] = {
    "operation_id": "listArchivedMonths",
    "summary": "List archived months",
    "responses": {200: json_answer("ArchivedMonthList", "The months."), 400: _MALFORMED, **FOR_STAFF},
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

RUN: dict[str, Any] = {
    "operation_id": "runArchive",
    "summary": "Look at waiting months again",
    "responses": {
        202: json_answer("ArchivedMonthList", "The months, as they are now."),
        400: _MALFORMED,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

SHOW: dict[str, Any] = {
    "operation_id": "readArchivedMonth",
    "summary": "Read an archived month",
    "responses": {
        200: json_answer("ArchivedMonthView", "The month."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

RESTORE: dict[str, Any] = {
    "operation_id": "restoreMonth",
    "summary": "Restore an archived month",
    "responses": {
        202: json_answer("ArchivedMonthView", "The month will be restored, or is."),
        404: _NOT_FOUND,
        409: problem("The month is not archived.", "month_not_archived"),
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("days_invalid", "unknown_member"),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "requestBody": optional_body("RestoreRequest", {"days": 7})},
}
