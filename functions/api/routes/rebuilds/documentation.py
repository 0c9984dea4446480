"""How the OpenAPI document describes the routes of rebuilds and books."""

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

_EXAMPLE_ID = "019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"
_LOCATION = {"Location": text_header("The path of the rebuild.", f"/api/v1/ops/ledger/rebuilds/{_EXAMPLE_ID}")}
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")
_REBUILD_NOT_FOUND = problem("There is no such rebuild.", "rebuild_not_found")
_BOOK_NOT_FOUND = problem("There is no such book.", "book_not_found")


def rebuild_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.rebuilds.schemas import MODELS

    return schemas_of(MODELS)


START: dict[str, Any] = {
    "operation_id": "startRebuild",
    "summary": "Rebuild the books",
    "responses": {
        202: json_answer("RebuildView", "The rebuild has begun.", _LOCATION),
        409: problem(
            "Other rebuilds are running, or months of the log are archived.", "too_many_rebuilds", "months_archived"
        ),
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("not_a_boolean", "number_invalid", "rules_version_not_deployed", "unknown_member"),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "requestBody": optional_body("RebuildRequest", {"switch": False})},
}

LIST: dict[str, Any] = {
    "operation_id": "listRebuilds",
    "summary": "List rebuilds",
    "responses": {
        200: json_answer("RebuildList", "A page of rebuilds."),
        **page_problems(),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readRebuild",
    "summary": "Read a rebuild",
    "responses": {
        200: json_answer("RebuildView", "The rebuild."),
        400: _MALFORMED,
        404: _REBUILD_NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

CANCEL: dict[str, Any] = {
    "operation_id": "cancelRebuild",
    "summary": "Cancel a rebuild",
    "responses": {
        200: json_answer("RebuildView", "The rebuild, canceled."),
        400: _MALFORMED,
        404: _REBUILD_NOT_FOUND,
        409: problem("The rebuild has ended.", "rebuild_ended"),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

SWITCH: dict[str, Any] = {
    "operation_id": "switchBooks",
    "summary": "Switch to a rebuilt book",
    "responses": {
        200: json_answer("RebuildView", "Its book is the live one."),
        404: _REBUILD_NOT_FOUND,
        409: problem(
            "The book cannot become the live one, now or ever.",
            *("books_differ", "months_archived", "rebuild_not_finished", "rebuild_outdated"),
        ),
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("reason_invalid", "unknown_member"),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": optional_body(
            "SwitchRequest", {"accept_differences": "The fee of captures was booked the wrong way round."}
        ),
    },
}

BOOKS: dict[str, Any] = {
    "operation_id": "listBooks",
    "summary": "List the books",
    "responses": {200: json_answer("BookList", "The books."), 400: _MALFORMED, **FOR_STAFF},
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

DROP: dict[str, Any] = {
    "operation_id": "dropBook",
    "summary": "Drop a book",
    "responses": {
        202: json_answer("DroppingView", "A part of the book is gone. Repeat the request for the rest."),
        204: {"description": "The book is gone."},
        400: _MALFORMED,
        404: _BOOK_NOT_FOUND,
        409: problem("The book is live, or a rebuild that is running needs it.", "book_in_use"),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
