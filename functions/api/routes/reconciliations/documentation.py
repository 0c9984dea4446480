"""How the OpenAPI document describes the routes of reconciliations."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
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
    text_header,
)

STATEMENT_MEDIA_TYPE = "text/csv"
# What fits into a request of Lambda, whose 6 MB hold the escapes of JSON too.
STATEMENT_BYTES_MAX = 5 * 1024 * 1024
GATEWAY_PATTERN = r"^[a-z][a-z0-9_]{0,31}$"
_ID = "019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"
_LOCATION = {"Location": text_header("The path of the reconciliation.", f"/api/v1/ops/reconciliations/{_ID}")}
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")
_ARCHIVED = problem("The day's operations are archived, or some of them.", "months_archived")
_NOT_FOUND = problem("There is no such reconciliation.", "reconciliation_not_found")
_NO_BREAK = problem("There is no such break.", "break_not_found")
# The values of reconciliation/domain/breaks.py, which no cold start has to load.
_STATES = ["open", "explained", "resolved", "void"]
_TYPES = [
    *("missing_at_gateway", "missing_here", "missing_in_ledger", "amount_mismatch", "currency_mismatch"),
    *("status_mismatch", "duplicate_at_gateway", "duplicate_here", "late", "unknown_resolved"),
]
_PAGE_CODES = ("limit_invalid", "repeated", "unknown_member")


def reconciliation_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.reconciliations.schemas import MODELS

    return schemas_of(MODELS)


START: dict[str, Any] = {
    "operation_id": "startReconciliation",
    "summary": "Reconcile a day",
    "responses": {
        202: json_answer("ReconciliationView", "The reconciliation, which is under way.", _LOCATION),
        409: _ARCHIVED,
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("time_in_future", "day_invalid", "required", "unknown_member"),
        ),
        **unreadable(),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {**optional_body("ReconciliationRequest", {"date": "2026-04-17"}), "required": True},
    },
}

IMPORT: dict[str, Any] = {
    "operation_id": "importStatement",
    "summary": "Import a statement",
    "responses": {
        202: json_answer(
            "ReconciliationView", "The reconciliation of the day, which begins from the start.", _LOCATION
        ),
        400: QUERY_MALFORMED,
        409: _ARCHIVED,
        413: problem(f"The statement has more than {STATEMENT_BYTES_MAX} bytes.", "body_too_large"),
        415: problem("The body is not CSV.", "content_type_unsupported", "content_encoding_unsupported"),
        422: problem(
            "The statement or a parameter breaks a rule.",
            "validation_failed",
            field_codes=(
                *("line_invalid", "time_in_future", "day_invalid", "not_an_option", "required", "repeated"),
                *("gateway_unknown", "unknown_member"),
            ),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [
            {
                **query_parameter("date", "The day of the statement, in UTC.", {"type": "string", "format": "date"}),
                "required": True,
            },
            query_parameter(
                "gateway",
                "The name under which payments go to the gateway, `default` if absent.",
                {"type": "string", "pattern": GATEWAY_PATTERN},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                STATEMENT_MEDIA_TYPE: {
                    "schema": {
                        "type": "string",
                        "description": "A header and a row for each line, with a comma, a semicolon or a tab between "
                        "cells. `id`, `kind`, `currency` and `created_at` are needed, one of `operation_id` and "
                        "`reference`, and one of `amount` and `amount_minor`.",
                    },
                    "example": "id,operation_id,kind,amount,currency,status,created_at\n"
                    f'ch_1,{_ID},charge,"1,234.50",EUR,succeeded,2026-04-17T12:00:00Z\n',
                }
            },
        },
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listReconciliations",
    "summary": "List reconciliations",
    "responses": {
        200: json_answer("ReconciliationList", "A page of reconciliations."),
        400: QUERY_MALFORMED,
        422: problem("A parameter breaks a rule.", "validation_failed", "cursor_invalid", field_codes=_PAGE_CODES),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readReconciliation",
    "summary": "Read a reconciliation",
    "responses": {
        200: json_answer("ReconciliationView", "The reconciliation."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

_BREAKS_ANSWER = json_answer("ReconciliationBreakList", "A page of breaks.")
_BREAKS_ANSWER["content"]["text/csv"] = {
    "schema": {
        "type": "string",
        "description": "The names of the columns, then a row for each break, at most 10,000. `Link` leads to the rest.",
    }
}

BREAKS: dict[str, Any] = {
    "operation_id": "listReconciliationBreaks",
    "summary": "List breaks",
    "responses": {
        200: _BREAKS_ANSWER,
        400: QUERY_MALFORMED,
        404: _NOT_FOUND,
        422: problem(
            "A parameter breaks a rule.",
            *("validation_failed", "cursor_invalid"),
            field_codes=("not_an_option", *_PAGE_CODES),
        ),
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [
            query_parameter("state", "Only breaks in this state.", {"type": "string", "enum": _STATES}),
            query_parameter("type", "Only breaks of this type.", {"type": "string", "enum": _TYPES}),
            *PAGE_PARAMETERS,
        ],
    },
}


READ_BREAK: dict[str, Any] = {
    "operation_id": "readReconciliationBreak",
    "summary": "Read a break",
    "responses": {
        200: json_answer("ReconciliationBreakRecord", "The break."),
        400: _MALFORMED,
        404: _NO_BREAK,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}


def _decision(name: str, summary: str, description: str, model: str, example: dict[str, Any]) -> dict[str, Any]:
    codes = ("note_invalid", "required", "unknown_member")
    return {
        "operation_id": name,
        "summary": summary,
        "responses": {
            200: json_answer("ReconciliationBreakRecord", description),
            404: _NO_BREAK,
            409: problem("The break is resolved or void. It is open again if a later pass finds it.", "break_closed"),
            422: problem(
                "The request breaks a rule.",
                *("json_not_an_object", "validation_failed"),
                field_codes=codes if model == "BreakNote" else ("not_an_option", *codes),
            ),
            **unreadable(),
            **FOR_STAFF,
        },
        "openapi_extra": {
            "security": KEY_OR_TOKEN,
            "requestBody": {**optional_body(model, example), "required": True},
        },
    }


_NOTE = {"note": "Refunded in the gateway's dashboard, ticket 4711."}
RESOLVE = _decision(
    "resolveReconciliationBreak",
    "Resolve a break",
    "The break is resolved.",
    "BreakResolution",
    {**_NOTE, "resolution": "manual"},
)
EXPLAIN = _decision("explainReconciliationBreak", "Explain a break", "The break is explained.", "BreakNote", _NOTE)
VOID = _decision("voidReconciliationBreak", "Void a break", "The break is void.", "BreakNote", _NOTE)
