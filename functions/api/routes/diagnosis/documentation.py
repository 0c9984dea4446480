"""How the OpenAPI document describes the route that says where a payment is."""

from __future__ import annotations

from typing import Any

from api.openapi import ARCHIVED, FOR_STAFF, KEY_OR_TOKEN, Schema, json_answer, problem, schemas_of


def diagnosis_schemas() -> dict[str, Schema]:
    """Return the schemas of the answer, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.diagnosis.schemas import DiagnosisView

    return schemas_of([DiagnosisView])


SHOW: dict[str, Any] = {
    "operation_id": "diagnosePayment",
    "summary": "Diagnose a payment",
    "responses": {
        200: json_answer("DiagnosisView", "The payment, where it is and why."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: problem("There is no such payment.", "payment_not_found"),
        410: ARCHIVED,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
