"""How the OpenAPI document describes the health routes."""

from __future__ import annotations

from typing import Any

from api.openapi import RETRY_AFTER, problem
from api.routes.health.schemas import HealthView, ReadinessView
from paybridge.core.field_rules import CODES

HEALTH: dict[str, Any] = {
    "operation_id": "health",
    "summary": "Check liveness",
    "response_description": "Alive.",
    "responses": {200: {"model": HealthView}},
    "openapi_extra": {"security": []},
}

READINESS: dict[str, Any] = {
    "operation_id": "readiness",
    "summary": "Check readiness",
    "response_description": "Ready.",
    "responses": {
        200: {"model": ReadinessView},
        422: problem("The parameter is invalid.", "validation_failed", field_codes=CODES),
        503: problem("Not ready. `checks` names the failing dependency.", "not_ready", headers=RETRY_AFTER),
    },
    "openapi_extra": {"security": []},
}
