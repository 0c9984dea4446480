"""How the OpenAPI document describes the routes of replays."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import unreadable
from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    QUERY_MALFORMED,
    REF,
    Schema,
    json_answer,
    problem,
    schemas_of,
    text_header,
)

_EXAMPLE_ID = "019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"
_EXAMPLE = {
    "consumer": "notifications",
    "from": "2026-04-17T00:00:00Z",
    "to": "2026-04-18T00:00:00Z",
    "types": ["payment.*"],
    "rate_per_second": 50,
    "dry_run": True,
}
_LOCATION = {"Location": text_header("The path of the replay.", f"/api/v1/ops/replays/{_EXAMPLE_ID}")}
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")
_NOT_FOUND = problem("There is no such replay.", "replay_not_found")


def replay_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.replays.schemas import MODELS

    return schemas_of(MODELS)


START: dict[str, Any] = {
    "operation_id": "startReplay",
    "summary": "Replay events to a consumer",
    "responses": {
        202: json_answer("ReplayView", "The replay, or the dry run with what it has found so far.", _LOCATION),
        409: problem(
            "Too many replays have not ended, or months of the range are archived.",
            "too_many_replays",
            "months_archived",
        ),
        422: problem(
            "The request breaks a rule. `errors` names every field that does.",
            *("json_not_an_object", "validation_failed"),
            field_codes=(
                *("not_a_boolean", "not_an_option", "range_invalid", "rate_invalid", "required", "time_invalid"),
                *("types_invalid", "unknown_member"),
            ),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": REF.format(model="ReplayRequest")}, "example": _EXAMPLE}
            },
        },
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listReplays",
    "summary": "List replays",
    "responses": {
        200: json_answer("ReplayList", "A page of replays."),
        400: QUERY_MALFORMED,
        422: problem(
            "A parameter breaks a rule.",
            *("validation_failed", "cursor_invalid"),
            field_codes=("limit_invalid", "repeated", "unknown_member"),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readReplay",
    "summary": "Read a replay",
    "responses": {
        200: json_answer("ReplayView", "The replay."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}


def _change(name: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "operation_id": name,
        "summary": summary,
        "responses": {
            200: json_answer("ReplayView", description),
            400: _MALFORMED,
            404: _NOT_FOUND,
            409: problem("The replay is finished or canceled.", "replay_ended"),
            **FOR_STAFF,
        },
        "openapi_extra": {"security": KEY_OR_TOKEN},
    }


PAUSE = _change("pauseReplay", "Pause a replay", "The replay, paused.")
RESUME = _change("resumeReplay", "Resume a replay", "The replay, running.")
CANCEL = _change("cancelReplay", "Cancel a replay", "The replay, canceled.")
