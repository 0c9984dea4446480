"""How the OpenAPI document describes the routes of figures."""

from __future__ import annotations

from typing import Any

from api.openapi import (
    FOR_STAFF,
    KEY_OR_TOKEN,
    PAGE_PARAMETERS,
    Schema,
    json_answer,
    page_problems,
    query_parameter,
    schemas_of,
    text_header,
)

# The limits of analytics/read_figures.py and of answers.py, which no cold start has to load.
DAYS_MAX, DEFAULT_DAYS, CSV_ROWS_MAX = 367, 30, 10_000

_EXAMPLE: dict[str, Any] = {
    "merchant_id": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d444",
    "day": "2026-04-17",
    "currency": "EUR",
    "payments": 1200,
    "succeeded": 1130,
    "failed": 48,
    "canceled": 12,
    "authorized": 6,
    "open": 4,
    "failure_rate": 0.040134,
    "amount": "60000.00",
    "volume": "56310.40",
    "processing_mean_seconds": 2.418,
    "processing_p50_seconds": 2.204,
    "processing_p95_seconds": 4.871,
    "refunds": 9,
    "refunds_failed": 1,
    "refunds_open": 0,
    "refunded": "310.00",
    "webhooks_delivered": 1187,
    "webhooks_failed": 3,
    "webhook_success_rate": 0.997479,
}
_DAY: Schema = {"type": "string", "format": "date", "example": "2026-04-17"}
_FILTERS = [
    query_parameter(
        "from", f"The first day (UTC). {DEFAULT_DAYS} days up to the last one if absent, at most {DAYS_MAX}.", _DAY
    ),
    query_parameter("to", "The last day (UTC), which belongs to the range. Today if absent.", _DAY),
    query_parameter("currency", "Only this currency.", {"type": "string", "pattern": "^[A-Z]{3}$", "example": "EUR"}),
    query_parameter(
        "merchant_id",
        "For staff: only this merchant. A merchant sees its own figures without it.",
        {"type": "string", "format": "uuid"},
    ),
]
_PROBLEMS = page_problems("currency_malformed", "day_invalid", "range_invalid")
_VARY = {"Vary": text_header("`Accept` decides between JSON and CSV.", "Accept")}


def analytics_schemas() -> dict[str, Schema]:
    """Return the schemas of the answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.analytics.schemas import MODELS

    schemas = schemas_of(MODELS)
    schemas["DailyFiguresView"]["examples"] = [_EXAMPLE]
    return schemas


def _described(operation_id: str, summary: str, model: str, period: str) -> dict[str, Any]:
    answer = json_answer(model, f"A page of {period}s, or all of them as CSV.", _VARY)
    csv = f"The names of the members of a {period}, then one line for each, at most {CSV_ROWS_MAX}."
    answer["content"]["text/csv"] = {"schema": {"type": "string", "description": csv}}
    return {
        "operation_id": operation_id,
        "summary": summary,
        "responses": {200: answer, **_PROBLEMS, **FOR_STAFF},
        "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [*_FILTERS, *PAGE_PARAMETERS]},
    }


DAILY = _described("listDailyFigures", "Show days in figures", "DailyFiguresPage", "day")
MONTHLY = _described("listMonthlyFigures", "Show months in figures", "MonthlyFiguresPage", "month")
