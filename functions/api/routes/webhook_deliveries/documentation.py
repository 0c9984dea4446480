"""How the OpenAPI document describes the routes of deliveries."""

from __future__ import annotations

from typing import Any

from api.openapi import FOR_MERCHANTS, KEY_OR_TOKEN, REF, Schema, problem, text_header, without_defaults

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
_EXAMPLES = {
    "WebhookDelivery": _PENDING,
    "WebhookDeliveryRecord": _RECORD,
    "WebhookDeliveryList": {"data": [_LISTED], "has_more": False, "next_cursor": None},
}


def delivery_schemas() -> dict[str, Schema]:
    """Return the schemas of answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.webhook_deliveries.schemas import MODELS

    schemas: dict[str, Schema] = {}
    for model in MODELS:
        schema = model.model_json_schema(ref_template=REF)
        schemas |= {name: without_defaults(found) for name, found in schema.pop("$defs", {}).items()}
        schemas[model.__name__] = {**without_defaults(schema), "examples": [_EXAMPLES[model.__name__]]}
    return schemas


def answer(model: str, description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Describe an answer that this model makes."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model)}}}
    return {"description": description, "headers": headers or {}, "content": content}


_LOCATION = {"Location": text_header("The path of the delivery.", f"/api/v1/webhook-deliveries/{EXAMPLE_ID}")}
_NOT_FOUND = problem("The merchant has no such delivery.", "webhook_delivery_not_found")
_MALFORMED = problem("The request cannot be parsed.", "header_repeated")

READ: dict[str, Any] = {
    "operation_id": "readWebhookDelivery",
    "summary": "Read a delivery",
    "responses": {
        200: answer("WebhookDeliveryRecord", "The delivery."),
        400: _MALFORMED,
        404: _NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

REDELIVER: dict[str, Any] = {
    "operation_id": "redeliverWebhook",
    "summary": "Redeliver a webhook",
    "responses": {
        202: answer("WebhookDelivery", "The delivery is pending again, and is sent now.", _LOCATION),
        400: _MALFORMED,
        404: _NOT_FOUND,
        409: problem(
            "The delivery is pending, or has had too many attempts.",
            "webhook_delivery_pending",
            "webhook_delivery_exhausted",
        ),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
