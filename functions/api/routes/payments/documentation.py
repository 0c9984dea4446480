"""How the OpenAPI document describes the payment routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from api.keyed_documentation import (
    AMOUNT_CODES,
    DESCRIBED,
    PART_CODES,
    REPLAYED,
    UNREADABLE,
    WAITED,
    conflict,
    key_parameter,
    optional_body,
    request_schema,
    wait_parameter,
)
from api.openapi import ARCHIVED, FOR_MERCHANTS, KEY_OR_TOKEN, QUERY_MALFORMED, Responses, Schema, problem, text_header
from api.routes.payments.schemas import CancelRequest, CaptureRequest, PaymentPageView, PaymentView, TimelineView
from api.webhooks import event_schemas, webhooks
from paybridge.core.field_rules import CODES
from paybridge.core.money import to_minor
from paybridge.intake.payment_request import PaymentRequest
from paybridge.payments.domain.payment import Payment, PaymentOrder, new_payment, payment_view
from paybridge.webhooks.domain.webhook_url import URL_CODES

_EXAMPLE_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
_EXAMPLE_TIME = datetime(2026, 4, 17, 12, 0, 0, 123456, tzinfo=UTC)
_EXAMPLE_AMOUNT = {"amount": "100.50", "currency": "RUB"}
_EXAMPLE_DETAILS: dict[str, Any] = {
    "description": "Order #123",
    "metadata": {"order_id": "123"},
    "webhook_url": "https://example.com/webhook",
}

_LOCATION = {"Location": text_header("The path of the payment.", f"/api/v1/payments/{_EXAMPLE_ID}")}
_HEADERS_UNREADABLE: Responses = {400: problem("The request cannot be parsed.", "header_repeated")}
_NOT_FOUND: Responses = {404: problem("The merchant has no such payment.", "payment_not_found"), 410: ARCHIVED}


def payment_schemas() -> dict[str, Schema]:
    """Return the schemas that FastAPI does not find, and the example that it would strip of its nulls."""
    return {
        "PaymentRequest": request_schema(PaymentRequest),
        "CaptureRequest": request_schema(CaptureRequest),
        "CancelRequest": request_schema(CancelRequest),
        "PaymentView": {"examples": [payment_view(_example_payment())]},
        **event_schemas(),
    }


def payment_events() -> dict[str, Any]:
    """Return the section `webhooks` of the document, with an example for each type of event."""
    return webhooks(_example_payment())


def _example_payment() -> Payment:
    amount_minor = to_minor(**_EXAMPLE_AMOUNT)
    order = PaymentOrder(amount_minor=amount_minor, currency=_EXAMPLE_AMOUNT["currency"], **_EXAMPLE_DETAILS)
    return new_payment(order, id_=UUID(_EXAMPLE_ID), merchant_id=UUID(int=0), correlation_id="", now=_EXAMPLE_TIME)


CREATE_PAYMENT: dict[str, Any] = {
    "operation_id": "createPayment",
    "summary": "Create a payment",
    "response_description": "Accepted. `Idempotency-Replayed: true` marks the repeated answer of an earlier request.",
    "responses": {
        202: {"model": PaymentView, "headers": _LOCATION | REPLAYED},
        409: conflict("", location=_LOCATION),
        422: problem(
            "The request breaks a rule.",
            "idempotency_key_reused",
            "json_not_an_object",
            "validation_failed",
            *AMOUNT_CODES,
            "currency_unsupported",
            *URL_CODES,
            field_codes=CODES,
            headers=_LOCATION | DESCRIBED,
        ),
        **UNREADABLE,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [key_parameter("payment", "a second payment")],
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
            "headers": WAITED,
        },
        **_HEADERS_UNREADABLE,
        **_NOT_FOUND,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {
        "security": KEY_OR_TOKEN,
        "parameters": [wait_parameter("payment")],
    },
}


def _command(
    operation_id: str, summary: str, what: str, made: str, *, request: str, example: dict[str, Any]
) -> dict[str, Any]:
    """Describe a request about one payment, but for its own answers."""
    return {
        "operation_id": operation_id,
        "summary": summary,
        "response_description": "The payment as it is now. `Idempotency-Replayed: true` marks the repeated answer of "
        "an earlier request.",
        "responses": {
            202: {"model": PaymentView, "headers": _LOCATION | REPLAYED},
            **UNREADABLE,
            **_NOT_FOUND,
            **FOR_MERCHANTS,
        },
        "openapi_extra": {
            "security": KEY_OR_TOKEN,
            "parameters": [key_parameter(what, made)],
            "requestBody": optional_body(request, example),
        },
    }


CAPTURE_PAYMENT = _command(
    "capturePayment",
    "Capture a payment",
    "capture",
    "a second capture",
    request="CaptureRequest",
    example={"amount": "80.00"},
)
CAPTURE_PAYMENT["responses"] |= {
    409: conflict(
        "The payment cannot be captured now: `detail` says why, and when its authorization expired if it has.",
        "payment_not_capturable",
        "operation_in_progress",
        location=_LOCATION,
    ),
    422: problem(
        "The request breaks a rule. `amount_exceeds_capturable` has a member `capturable`: a decimal string with what "
        "may still be captured.",
        "idempotency_key_reused",
        "json_not_an_object",
        "validation_failed",
        "amount_exceeds_capturable",
        *PART_CODES,
        field_codes=CODES,
        headers=_LOCATION | DESCRIBED,
    ),
}

CANCEL_PAYMENT = _command(
    "cancelPayment",
    "Cancel a payment",
    "cancellation",
    "a second cancellation",
    request="CancelRequest",
    example={"reason": "Out of stock"},
)
CANCEL_PAYMENT["responses"] |= {
    409: conflict(
        "The payment cannot be canceled now: its charge is under way, or it has taken money or ended.",
        "payment_not_cancelable",
        "operation_in_progress",
        location=_LOCATION,
    ),
    422: problem(
        "The request breaks a rule.",
        "idempotency_key_reused",
        "json_not_an_object",
        "validation_failed",
        field_codes=CODES,
        headers=_LOCATION | DESCRIBED,
    ),
}

LIST_PAYMENTS: dict[str, Any] = {
    "operation_id": "listPayments",
    "summary": "List payments",
    "response_description": "A page of payments.",
    "responses": {
        200: {"model": PaymentPageView},
        400: QUERY_MALFORMED,
        422: problem("A parameter is invalid.", "validation_failed", "cursor_invalid", field_codes=CODES),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
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
    "openapi_extra": {"security": KEY_OR_TOKEN},
}
