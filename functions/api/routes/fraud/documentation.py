"""How the OpenAPI document describes the routes of fraud rules."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import unreadable
from api.openapi import (
    FOR_MERCHANTS,
    KEY_OR_TOKEN,
    QUERY_MALFORMED,
    REF,
    Responses,
    Schema,
    json_answer,
    problem,
    schemas_of,
    text_header,
)
from paybridge.fraud.domain.fault_codes import CODES

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d122"
_EXAMPLE_RULES: list[dict[str, Any]] = [
    {"id": "own-tests", "action": "allow", "when": {"customer_in": ["customer-test"]}},
    {"id": "large", "action": "review", "score": 40, "when": {"amount_gte": "1000.00", "currency_in": ["EUR", "USD"]}},
    {
        "id": "card-testing",
        "action": "block",
        "score": 100,
        "when": {"velocity": {"per": "payment_method", "window_seconds": 3600, "count_gte": 10}},
    },
]
_EXAMPLE_RANGE = {"from": "2026-04-01T00:00:00Z", "to": "2026-04-08T00:00:00Z"}
_EXAMPLE_DRY_RUN: dict[str, Any] = {
    "dry_run_id": _EXAMPLE_ID,
    "state": "finished",
    "from": "2026-04-01T00:00:00.000000+00:00",
    "to": "2026-04-08T00:00:00.000000+00:00",
    "progress": 1.0,
    "checked": 1200,
    "total": 1200,
    "decisions": {"allow": 1180, "review": 18, "block": 2},
    "rules": {"own-tests": 5, "large": 18, "card-testing": 2},
    "samples": [
        {
            "payment_id": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111",
            "decision": "block",
            "score": 100,
            "rules": ["card-testing"],
        }
    ],
    "created_at": "2026-04-17T12:00:00.123456+00:00",
    "finished_at": "2026-04-17T12:00:00.623456+00:00",
}
_FIELD_CODES = (*CODES, "range_invalid", "time_invalid")


def fraud_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.fraud.schemas import MODELS

    schemas = schemas_of(MODELS)
    version = {"rules": _EXAMPLE_RULES, "version": 3, "created_at": "2026-04-17T12:00:00.123456+00:00"}
    schemas["FraudRulesView"]["examples"] = [version]
    schemas["DryRunView"]["examples"] = [_EXAMPLE_DRY_RUN]
    return schemas


def _body(model: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"$ref": REF.format(model=model)}
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


_BODY_PROBLEMS: Responses = {
    **unreadable(),
    422: problem(
        "The request breaks a rule. `errors` names every field that does.",
        "json_not_an_object",
        "validation_failed",
        field_codes=_FIELD_CODES,
    ),
}

READ_RULES: dict[str, Any] = {
    "operation_id": "readFraudRules",
    "summary": "Read the fraud rules",
    "responses": {
        200: json_answer("FraudRulesView", "The rules."),
        400: QUERY_MALFORMED,
        404: problem("The rules have no such version.", "fraud_rules_not_found"),
        422: problem("The version is not a number.", "validation_failed", field_codes=("number_invalid", "repeated")),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

REPLACE_RULES: dict[str, Any] = {
    "operation_id": "replaceFraudRules",
    "summary": "Replace the fraud rules",
    "responses": {
        200: json_answer("FraudRulesView", "The rules with their new version."),
        **_BODY_PROBLEMS,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": _body("FraudRulesRequest", {"rules": _EXAMPLE_RULES}),
    },
}

_LOCATION = {"Location": text_header("The path of the dry run.", f"/api/v1/fraud-rules/dry-run/{_EXAMPLE_ID}")}

START_DRY_RUN: dict[str, Any] = {
    "operation_id": "startFraudDryRun",
    "summary": "Try rules on past payments",
    "responses": {
        200: json_answer("DryRunView", "The dry run, finished.", _LOCATION),
        202: json_answer("DryRunView", "The dry run, not finished yet.", _LOCATION),
        **_BODY_PROBLEMS,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": _body("DryRunRequest", {"rules": _EXAMPLE_RULES, **_EXAMPLE_RANGE}),
    },
}

READ_DRY_RUN: dict[str, Any] = {
    "operation_id": "readFraudDryRun",
    "summary": "Read a dry run",
    "responses": {
        200: json_answer("DryRunView", "The dry run."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: problem("The merchant has no such dry run.", "dry_run_not_found"),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
