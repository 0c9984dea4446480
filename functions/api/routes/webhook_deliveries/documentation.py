"""How the OpenAPI document describes the routes of deliveries."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
from api.openapi import (
    FOR_MERCHANTS,
    FOR_STAFF,
    KEY_OR_TOKEN,
    Schema,
    json_answer,
    problem,
    schemas_of,
    text_header,
)

EXAMPLE_ID = "019a9f3c-5c11-7d06-8a4b-1f0a6f2c9e01"
_ATTEMPT: dict[str, Any] = {
    "number": 1,
    "status": "failed",
    "response_status": 503,
    "error": None,
    "response_excerpt": "upstream is down",
    "duration_ms": 87,
    "started_at": "2026-04-17T12:00:03.600000+00:00",
    "finished_at": "2026-04-17T12:00:03.687000+00:00",
}
_DELIVERY: dict[str, Any] = {
    "delivery_id": EXAMPLE_ID,
    "endpoint_id": "019a9f30-0f6e-7b0a-8a11-5a2f2d1e7c44",
    "payment_id": "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111",
    "event_id": "019a9f3c-5c11-7d06-8a4b-5b1f6a2c9e77",
    "event_type": "payment.succeeded",
    "url": "https://shop.example/hooks",
    "status": "failed",
    "attempt_count": 1,
    "next_attempt_at": None,
    "created_at": "2026-04-17T12:00:03.550000+00:00",
    "finished_at": "2026-04-17T12:00:03.687000+00:00",
}
_LISTED = {**_DELIVERY, "last_attempt": _ATTEMPT}
_BODY = '{"type":"payment.succeeded","timestamp":"2026-04-17T12:00:03.500000+00:00","data":{"sequence":3}}'
_RECORD = {**_LISTED, "body": _BODY, "attempts": [_ATTEMPT]}
_PENDING = {
    **_DELIVERY,
    "status": "pending",
    "next_attempt_at": "2026-04-17T13:00:00.000000+00:00",
    "finished_at": None,
}
_RECOVERY = {
    "recovery_id": "019a9f3c-6a01-7f3e-8e55-0c1b8f2e4d90",
    "endpoint_id": _DELIVERY["endpoint_id"],
    "state": "finished",
    "since": "2026-04-17T12:00:00.000000+00:00",
    "checked": 1200,
    "sent": 7,
    "created_at": "2026-04-17T18:00:00.000000+00:00",
    "finished_at": "2026-04-17T18:00:00.400000+00:00",
}
_EXAMPLES = {
    "WebhookDelivery": _PENDING,
    "WebhookDeliveryRecord": _RECORD,
    "WebhookDeliveryList": {"data": [_LISTED], "has_more": False, "next_cursor": None},
    "WebhookRecovery": _RECOVERY,
}


def delivery_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.webhook_deliveries.schemas import MODELS

    schemas = schemas_of(MODELS)
    for model, example in _EXAMPLES.items():
        schemas[model]["examples"] = [example]
    return schemas


_LOCATION = {"Location": text_header("The path of the delivery.", f"/api/v1/webhook-deliveries/{EXAMPLE_ID}")}
_NOT_FOUND = problem("The merchant has no such delivery.", "webhook_delivery_not_found")
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")

READ: dict[str, Any] = {
    "operation_id": "readWebhookDelivery",
    "summary": "Read a delivery",
    "responses": {
        200: json_answer("WebhookDeliveryRecord", "The delivery."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

REDELIVER: dict[str, Any] = {
    "operation_id": "redeliverWebhook",
    "summary": "Redeliver a webhook",
    "responses": {
        202: json_answer("WebhookDelivery", "The delivery is pending again, and is sent now.", _LOCATION),
        400: _MALFORMED,
        404: _NOT_FOUND,
        409: problem(
            "The delivery is pending or has had too many attempts, or its endpoint takes nothing.",
            *("webhook_delivery_pending", "webhook_delivery_exhausted", "webhook_endpoint_unavailable"),
        ),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

_NO_ENDPOINT = problem("There is no such endpoint.", "webhook_endpoint_not_found")
_RECOVERY_LOCATION = {
    "Location": text_header(
        "The path of the recovery.",
        f"/api/v1/webhook-endpoints/{_RECOVERY['endpoint_id']}/recoveries/{_RECOVERY['recovery_id']}",
    )
}

RECOVER: dict[str, Any] = {
    "operation_id": "recoverWebhookEndpoint",
    "summary": "Send what an endpoint has missed",
    "responses": {
        202: json_answer("WebhookRecovery", "The recovery, which may have ended already.", _RECOVERY_LOCATION),
        404: _NO_ENDPOINT,
        409: problem("The endpoint is disabled.", "webhook_endpoint_disabled"),
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("required", "time_in_future", "time_invalid", "unknown_member"),
        ),
        **unreadable(),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "requestBody": {**optional_body("RecoveryRequest", {"since": "2026-04-17T12:00:00Z"}), "required": True},
    },
}

READ_RECOVERY: dict[str, Any] = {
    "operation_id": "readWebhookRecovery",
    "summary": "Read a recovery",
    "responses": {
        200: json_answer("WebhookRecovery", "The recovery."),
        400: _MALFORMED,
        404: problem("There is no such recovery.", "webhook_recovery_not_found", "webhook_endpoint_not_found"),
        **FOR_STAFF,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
