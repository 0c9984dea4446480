"""How the OpenAPI document describes the routes of corrections."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import DESCRIBED, REPLAYED, UNREADABLE, key_parameter, optional_body
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
from paybridge.core.field_rules import CODES

_EXAMPLE_ID = "019a9f3c-7a10-7b42-9c55-1d2e3f4a5b6c"
_EXAMPLE = {"event_id": _EXAMPLE_ID, "reason": "A test payment, which the gateway did not settle"}
_LOCATION = {
    "Location": text_header("The path of the correction.", f"/api/v1/ops/ledger/corrections/{_EXAMPLE_ID}"),
}


def correction_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.corrections.schemas import MODELS

    return schemas_of(MODELS)


CREATE: dict[str, Any] = {
    "operation_id": "createCorrection",
    "summary": "Correct the books",
    "responses": {
        201: json_answer(
            "CorrectionView",
            "The journal is taken back. `Idempotency-Replayed: true` marks the repeated answer of an earlier request.",
            _LOCATION | REPLAYED,
        ),
        409: problem("The journal of this event was taken back before.", "journal_corrected"),
        422: problem(
            "The request breaks a rule, the books have no journal of this event, or it is that of a payout.",
            *("idempotency_key_reused", "journal_not_found", "journal_of_payout"),
            *("json_not_an_object", "validation_failed"),
            field_codes=CODES,
            headers=_LOCATION | DESCRIBED,
        ),
        **UNREADABLE,
        **FOR_STAFF,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [key_parameter("correction", "a second correction")],
        "requestBody": {**optional_body("CorrectionRequest", _EXAMPLE), "required": True},
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listCorrections",
    "summary": "List corrections",
    "responses": {200: json_answer("CorrectionList", "A page of corrections."), **page_problems(), **FOR_STAFF},
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readCorrection",
    "summary": "Read a correction",
    "responses": {
        200: json_answer("CorrectionView", "The correction."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: problem("There is no such correction.", "correction_not_found"),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
