"""How the OpenAPI document describes the payment routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.openapi import (
    API_KEY_ONLY,
    FOR_MERCHANTS,
    REF,
    RETRY_AFTER,
    Responses,
    Schema,
    header_parameter,
    problem,
    text_header,
    without_defaults,
)
from api.request.headers import KEY_CHARACTERS_MAX, KEY_PATTERN, WAIT_SECONDS_MAX
from api.request.json_body import BODY_BYTES_MAX
from api.request.rules import CODES
from api.routes.payments.schemas import PaymentPageView, PaymentRequest, PaymentView, TimelineView
from api.webhooks import event_schemas, webhooks
from paybridge.core.money import to_minor
from paybridge.payments.domain.payment import Payment, PaymentOrder, new_payment, payment_view
from paybridge.webhooks.domain.webhook_url import URL_CODES

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
# start.js of the page replaces this key by a new one for each try.
EXAMPLE_KEY = "5f0c1a52-3d8e-4f1b-9a55-2f6f0f7f8a10"
_EXAMPLE_TIME = datetime(2026, 4, 17, 12, 0, 0, 123456, tzinfo=UTC)
_EXAMPLE_AMOUNT = {"amount": "100.50", "currency": "RUB"}
_EXAMPLE_DETAILS: dict[str, Any] = {
    "description": "Order #123",
    "metadata": {"order_id": "123"},
    "webhook_url": "https://example.com/webhook",
}

_LOCATION = {"Location": text_header("The path of the payment.", f"/api/v1/payments/{_EXAMPLE_ID}")}
_HEADERS_UNREADABLE: Responses = {400: problem("The request cannot be parsed.", "header_repeated")}
_NOT_FOUND: Responses = {404: problem("The merchant has no such payment.", "payment_not_found")}


def payment_schemas() -> dict[str, Schema]:
    """Return the schemas that FastAPI does not find, and the example that it would strip of its nulls."""
    return {
        "PaymentRequest": _request_schema(),
        "PaymentView": {"examples": [payment_view(_example_payment())]},
        **event_schemas(),
    }


def payment_events() -> dict[str, Any]:
    """Return the section `webhooks` of the document, with an example for each type of event."""
    return webhooks(_example_payment())


def _request_schema() -> Schema:
    schema = PaymentRequest.model_json_schema(ref_template=REF)
    members = {name: without_defaults(member) for name, member in schema["properties"].items()}
    return {**schema, "properties": members}


def _example_payment() -> Payment:
    amount_minor = to_minor(**_EXAMPLE_AMOUNT)
    order = PaymentOrder(amount_minor=amount_minor, currency=_EXAMPLE_AMOUNT["currency"], **_EXAMPLE_DETAILS)
    return new_payment(order, id_=UUID(_EXAMPLE_ID), merchant_id=UUID(int=0), correlation_id="", now=_EXAMPLE_TIME)


CREATE_PAYMENT: dict[str, Any] = {
    "operation_id": "createPayment",
    "summary": "Create a payment",
    "response_description": "Accepted. `Idempotency-Replayed: true` marks the repeated answer of an earlier request.",
    "responses": {
        202: {
            "model": PaymentView,
            "headers": {
                **_LOCATION,
                "Idempotency-Replayed": text_header(
                    "`true` if this is the stored answer of an earlier request with the same key.", "true"
                ),
            },
        },
        400: problem(
            "The request cannot be parsed.",
            "header_repeated",
            "idempotency_key_missing",
            "idempotency_key_invalid",
            "json_invalid",
            "json_duplicate_key",
            "json_too_deep",
            "json_text_unstorable",
            "request_malformed",
        ),
        409: problem(
            "A request with this key is in progress, or its answer is older than 24 hours and was deleted.",
            "idempotency_key_in_flight",
            "idempotency_key_expired",
            headers=RETRY_AFTER | _LOCATION,
        ),
        413: problem(f"The body has more than {BODY_BYTES_MAX} bytes.", "body_too_large"),
        415: problem("The body is not JSON in UTF-8.", "content_type_unsupported", "content_encoding_unsupported"),
        422: problem(
            "The request breaks a rule.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            "amount_malformed",
            "amount_places",
            "amount_not_positive",
            "amount_too_large",
            "currency_unsupported",
            *URL_CODES,
            field_codes=CODES,
            headers=_LOCATION,
        ),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": API_KEY_ONLY,
        "parameters": [
            header_parameter(
                "Idempotency-Key",
                "A new value for each payment, for example a UUID, bare or in double quotes (RFC 8941). Only a quoted "
                "key may hold a comma. A request with the same key and the same members never creates a second "
                "payment, whatever their order, white space and escapes; a member that is null equals one that is "
                "left out. For 24 hours it gets the same answer, then 409 `idempotency_key_expired`. A request that "
                "is answered 4xx without a payment does not use its key up.",
                required=True,
                schema={
                    "type": "string",
                    "minLength": 1,
                    "maxLength": KEY_CHARACTERS_MAX,
                    "pattern": KEY_PATTERN,
                    "example": EXAMPLE_KEY,
                },
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/PaymentRequest"},
                    "example": _EXAMPLE_AMOUNT | _EXAMPLE_DETAILS,
                }
            },
        },
    },
}

READ_PAYMENT: dict[str, Any] = {
    "operation_id": "readPayment",
    "summary": "Read a payment",
    "response_description": "The payment.",
    "responses": {
        200: {
            "model": PaymentView,
            "headers": {"Preference-Applied": text_header("The granted wait. Absent if none was.", "wait=10")},
        },
        **_HEADERS_UNREADABLE,
        **_NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": API_KEY_ONLY,
        "parameters": [
            header_parameter(
                "Prefer",
                "`wait=N` (RFC 7240): answer when the payment has settled, but after at most N seconds. N is at most "
                f"{WAIT_SECONDS_MAX}. The answer comes at once if too many requests are waiting.",
                required=False,
                schema={"type": "string", "example": "wait=10"},
            ),
        ],
    },
}

LIST_PAYMENTS: dict[str, Any] = {
    "operation_id": "listPayments",
    "summary": "List payments",
    "response_description": "A page of payments.",
    "responses": {
        200: {"model": PaymentPageView},
        400: problem("The request cannot be parsed.", "query_malformed", "header_repeated"),
        422: problem("A parameter is invalid.", "validation_failed", "cursor_invalid", field_codes=CODES),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": API_KEY_ONLY},
}

READ_TIMELINE: dict[str, Any] = {
    "operation_id": "readPaymentTimeline",
    "summary": "Read the timeline of a payment",
    "response_description": "The timeline.",
    "responses": {
        200: {"model": TimelineView},
        422: problem("The cursor is invalid.", "validation_failed", "cursor_invalid", field_codes=CODES),
        **_HEADERS_UNREADABLE,
        **_NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": API_KEY_ONLY},
}
