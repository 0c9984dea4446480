"""How the OpenAPI document describes the routes of webhook endpoints."""

from __future__ import annotations

from typing import Any

from api.keyed_documentation import optional_body, unreadable
from api.openapi import (
    FOR_MERCHANTS,
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
from paybridge.webhooks.domain.webhook_url import URL_CODES

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d555"
_EXAMPLE_REQUEST: dict[str, Any] = {
    "url": "https://shop.example/webhooks",
    "events": ["payment.*", "refund.succeeded"],
    "description": "Bookkeeping",
}
_EXAMPLE: dict[str, Any] = {
    "endpoint_id": _EXAMPLE_ID,
    **_EXAMPLE_REQUEST,
    "status": "enabled",
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "secrets": [{"last_four": "ISE=", "valid_until": None}],
    "resuming": None,
    "created_at": "2026-12-01T12:00:00.000000+00:00",
    "updated_at": "2026-12-01T12:00:00.000000+00:00",
}
_LOCATION = {"Location": text_header("The path of the endpoint.", f"/api/v1/webhook-endpoints/{_EXAMPLE_ID}")}
_NOT_FOUND = problem("There is no such endpoint.", "webhook_endpoint_not_found")
_UNPARSABLE = problem("The request cannot be parsed.", "header_repeated")
_SECURITY = {"security": KEY_OR_TOKEN}
_BODY_PROBLEM = problem(
    "The request breaks a rule.",
    *("json_not_an_object", "validation_failed", *URL_CODES),
    field_codes=(
        *URL_CODES,
        *("event_pattern_unknown", "not_a_list", "not_a_string", "not_an_option", "required", "text_too_long"),
        *("text_too_short", "text_unstorable", "too_few_members", "too_many_members", "unknown_member"),
    ),
)


def endpoint_schemas() -> dict[str, Schema]:
    """Return the schemas of bodies and answers, which FastAPI does not find."""
    # Only the document needs these models, and no cold start.
    from api.routes.webhook_endpoints.schemas import MODELS

    schemas = schemas_of(MODELS)
    schemas["EndpointView"]["examples"] = [_EXAMPLE]
    return schemas


CREATE: dict[str, Any] = {
    "operation_id": "createWebhookEndpoint",
    "summary": "Create a webhook endpoint",
    "responses": {
        201: json_answer("NewEndpointView", "The endpoint with its secret.", _LOCATION),
        409: problem("The merchant has as many endpoints as it may have.", "webhook_endpoints_too_many"),
        422: _BODY_PROBLEM,
        **unreadable(),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        **_SECURITY,
        "requestBody": {**optional_body("EndpointRequest", _EXAMPLE_REQUEST), "required": True},
    },
}

LIST: dict[str, Any] = {
    "operation_id": "listWebhookEndpoints",
    "summary": "List webhook endpoints",
    "responses": {
        200: json_answer("EndpointListView", "A page of endpoints."),
        **page_problems(),
        **FOR_STAFF,
    },
    "openapi_extra": {**_SECURITY, "parameters": PAGE_PARAMETERS},
}

READ: dict[str, Any] = {
    "operation_id": "readWebhookEndpoint",
    "summary": "Read a webhook endpoint",
    "responses": {200: json_answer("EndpointView", "The endpoint."), 400: _UNPARSABLE, 404: _NOT_FOUND, **FOR_STAFF},
    "openapi_extra": _SECURITY,
}

CHANGE: dict[str, Any] = {
    "operation_id": "changeWebhookEndpoint",
    "summary": "Change a webhook endpoint",
    "responses": {
        200: json_answer("EndpointView", "The endpoint as it is now."),
        404: _NOT_FOUND,
        422: _BODY_PROBLEM,
        **unreadable(),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {**_SECURITY, "requestBody": optional_body("EndpointChanges", {"events": ["*"]})},
}

DELETE: dict[str, Any] = {
    "operation_id": "deleteWebhookEndpoint",
    "summary": "Delete a webhook endpoint",
    "responses": {
        204: {"description": "The endpoint is deleted."},
        400: _UNPARSABLE,
        404: _NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": _SECURITY,
}

LIST_DELIVERIES: dict[str, Any] = {
    "operation_id": "listWebhookDeliveries",
    "summary": "List the deliveries of an endpoint",
    "responses": {
        200: json_answer("WebhookDeliveryList", "A page of deliveries."),
        **page_problems("not_an_option", "text_too_long"),
        404: _NOT_FOUND,
        **FOR_STAFF,
    },
    "openapi_extra": {
        **_SECURITY,
        "parameters": [
            {
                "name": "status",
                "in": "query",
                "description": "Only deliveries with this status.",
                "schema": {"type": "string", "enum": ["pending", "delivered", "failed", "gone", "canceled"]},
            },
            {
                "name": "event_type",
                "in": "query",
                "description": "Only deliveries of events of this type.",
                "schema": {"type": "string", "maxLength": 64},
            },
            *PAGE_PARAMETERS,
        ],
    },
}

ROTATE: dict[str, Any] = {
    "operation_id": "rotateWebhookSecret",
    "summary": "Rotate the secret of a webhook endpoint",
    "responses": {
        200: json_answer("NewEndpointView", "The endpoint with its new secret."),
        404: _NOT_FOUND,
        422: problem(
            "The request breaks a rule.",
            *("json_not_an_object", "validation_failed"),
            field_codes=("number_invalid", "number_out_of_range", "unknown_member"),
        ),
        **unreadable(),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {**_SECURITY, "requestBody": optional_body("SecretRotationRequest", {"overlap_seconds": 3600})},
}

TEST: dict[str, Any] = {
    "operation_id": "testWebhookEndpoint",
    "summary": "Test a webhook endpoint",
    "responses": {
        202: json_answer(
            "EndpointTestView",
            "The test is on its way.",
            {"Location": text_header("The path of its delivery.", f"/api/v1/webhook-deliveries/{_EXAMPLE_ID}")},
        ),
        400: _UNPARSABLE,
        404: _NOT_FOUND,
        409: problem("The endpoint is disabled.", "webhook_endpoint_disabled"),
        **FOR_MERCHANTS,
    },
    "openapi_extra": _SECURITY,
}
