"""What the OpenAPI document says of each operation beyond what FastAPI reads from its signature."""

from __future__ import annotations

from typing import Any, Final

from api.problems import PROBLEM_MEDIA_TYPE
from api.request.json_body import BODY_BYTES_MAX
from api.routes.payments.schemas import HealthView, PaymentPageView, PaymentView, ReadinessView, TimelineView

Responses = dict[int | str, dict[str, Any]]

_EXAMPLE_ID: Final = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
EXAMPLE_PAYMENT: Final = {
    "payment_id": _EXAMPLE_ID,
    "status": "pending",
    "created_at": "2026-04-17T12:00:00.123456+00:00",
    "updated_at": "2026-04-17T12:00:00.123456+00:00",
    "amount": "100.50",
    "amount_captured": "0.00",
    "amount_refunded": "0.00",
    "currency": "RUB",
    "capture": "automatic",
    "description": "Order #123",
    "metadata": {"order_id": "123"},
    "webhook_url": "https://example.com/webhook",
    "customer": None,
    "payment_method": None,
    "failure_code": None,
    "failure_message": None,
}
_EXAMPLE_REQUEST: Final = {
    name: EXAMPLE_PAYMENT[name] for name in ("amount", "currency", "description", "metadata", "webhook_url")
}


def _text_header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


def _problem(description: str, *codes: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    codes_text = ", ".join(f"`{code}`" for code in codes)
    return {
        "description": f"{description} Codes: {codes_text}.",
        "headers": headers or {},
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


_RETRY_AFTER: Final = {"Retry-After": _text_header("Seconds to wait before trying again.", "1")}
_LOCATION: Final = {"Location": _text_header("The payment's path.", f"/api/v1/payments/{_EXAMPLE_ID}")}
_CHALLENGE: Final = {"WWW-Authenticate": _text_header("How to authenticate.", 'ApiKey realm="paybridge"')}

_FOR_MERCHANTS: Final[Responses] = {
    401: _problem(
        "No usable API key.", "api_key_missing", "api_key_invalid", "bearer_not_supported", headers=_CHALLENGE
    ),
    403: _problem("The key is no merchant's.", "role_not_permitted"),
    500: _problem("A defect of ours.", "internal_error"),
    503: _problem("Away for the moment; repeating is safe.", "service_unavailable", headers=_RETRY_AFTER),
}
_NOT_FOUND: Final[Responses] = {404: _problem("There is no such payment, or it is not yours.", "payment_not_found")}
_API_KEY_ONLY: Final[list[dict[str, list[str]]]] = [{"ApiKey": []}]


def _header_parameter(name: str, description: str, *, required: bool, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


CREATE_PAYMENT: Final[dict[str, Any]] = {
    "operation_id": "createPayment",
    "summary": "Create a payment",
    "response_description": "Accepted; with `Idempotency-Replayed: true` when an earlier request did it.",
    "responses": {
        202: {
            "model": PaymentView,
            "headers": {
                **_LOCATION,
                "Idempotency-Replayed": _text_header("`true` on the repeated answer to a repeated request.", "true"),
            },
        },
        400: _problem(
            "Not readable.",
            "idempotency_key_missing",
            "idempotency_key_invalid",
            "json_invalid",
            "json_duplicate_key",
            "json_too_deep",
            "json_text_unstorable",
            "request_malformed",
        ),
        409: _problem(
            "The key is in use, or its answer is older than 24 hours and no longer kept.",
            "idempotency_key_in_flight",
            "idempotency_key_expired",
            headers=_RETRY_AFTER | _LOCATION,
        ),
        413: _problem(f"More than {BODY_BYTES_MAX} bytes.", "body_too_large"),
        415: _problem("Not JSON in UTF-8.", "content_type_unsupported", "content_encoding_unsupported"),
        422: _problem(
            "Readable, and against a rule.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            "amount_malformed",
            "amount_places",
            "amount_not_positive",
            "amount_too_large",
            "currency_unsupported",
            "capture_not_supported",
            "webhook_url_invalid",
            "webhook_url_insecure",
        ),
        **_FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": _API_KEY_ONLY,
        "parameters": [
            _header_parameter(
                "Idempotency-Key",
                "Unique for each payment you want to make, bare or in quotes (RFC 8941): repeating a request with the "
                "same key and body gives the same answer and no second payment, for ever.",
                required=True,
                schema={"type": "string", "minLength": 1, "maxLength": 255, "example": _EXAMPLE_ID},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/PaymentRequest"},
                    "example": _EXAMPLE_REQUEST,
                }
            },
        },
    },
}

READ_PAYMENT: Final[dict[str, Any]] = {
    "operation_id": "readPayment",
    "summary": "Read a payment",
    "responses": {
        200: {
            "model": PaymentView,
            "headers": {
                "Preference-Applied": _text_header("The wait that was granted; absent when none was.", "wait=10")
            },
        },
        **_NOT_FOUND,
        **_FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": _API_KEY_ONLY,
        "parameters": [
            _header_parameter(
                "Prefer",
                "`wait=N` (RFC 7240): answer once the payment has settled, after at most N seconds, 20 at the most; at "
                "once while too many others are waiting.",
                required=False,
                schema={"type": "string", "example": "wait=10"},
            ),
        ],
    },
}

LIST_PAYMENTS: Final[dict[str, Any]] = {
    "operation_id": "listPayments",
    "summary": "List payments",
    "responses": {
        200: {"model": PaymentPageView},
        400: _problem("Not readable.", "query_malformed"),
        422: _problem("A parameter breaks a rule.", "validation_failed", "cursor_invalid"),
        **_FOR_MERCHANTS,
    },
    "openapi_extra": {"security": _API_KEY_ONLY},
}

READ_TIMELINE: Final[dict[str, Any]] = {
    "operation_id": "readPaymentTimeline",
    "summary": "Read a payment's timeline",
    "responses": {200: {"model": TimelineView}, **_NOT_FOUND, **_FOR_MERCHANTS},
    "openapi_extra": {"security": _API_KEY_ONLY},
}

HEALTH: Final[dict[str, Any]] = {
    "operation_id": "health",
    "summary": "Alive",
    "responses": {200: {"model": HealthView}},
    "openapi_extra": {"security": []},
}

READINESS: Final[dict[str, Any]] = {
    "operation_id": "readiness",
    "summary": "Ready",
    "responses": {
        200: {"model": ReadinessView},
        503: _problem("`checks` tells which part fails.", "not_ready", headers=_RETRY_AFTER),
    },
    "openapi_extra": {"security": []},
}
