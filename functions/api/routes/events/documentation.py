"""How the OpenAPI document describes the routes of events."""

from __future__ import annotations

import json
from typing import Any

from api.keyed_documentation import WAITED
from api.openapi import (
    ARCHIVED,
    FOR_MERCHANTS,
    KEY_OR_TOKEN,
    QUERY_MALFORMED,
    REF,
    Responses,
    Schema,
    header_parameter,
    problem,
    query_parameter,
    text_header,
)
from paybridge.core.events import PUBLIC_TYPES

_EXAMPLE_ID = "019a9f3c-5d20-7a11-8c52-0d3f6a7b9e42"
_EXAMPLE_PAYMENT_ID = "019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"
_EXAMPLE: dict[str, Any] = {
    "event_id": _EXAMPLE_ID,
    "type": "payment.succeeded",
    "created_at": "2026-04-17T12:00:03.123456+00:00",
    "subject": {"type": "payment", "id": _EXAMPLE_PAYMENT_ID},
    "sequence": 3,
    "data": {"payment_id": _EXAMPLE_PAYMENT_ID, "status": "succeeded", "amount": "100.50", "currency": "RUB"},
}


def event_feed_schemas() -> dict[str, Schema]:
    """Return the schemas of an event and of a page of events, which FastAPI does not find."""
    event: Schema = {
        "title": "Event",
        "description": "A fact about a payment, a refund or something else that the merchant has.",
        "type": "object",
        "required": ["event_id", "type", "created_at", "subject", "sequence", "data"],
        "properties": {
            "event_id": {
                "type": "string",
                "format": "uuid",
                "description": "The same as `webhook-id` of a webhook about it, and a cursor of the feed.",
            },
            "type": {"type": "string", "description": f"One of {', '.join(f'`{type_}`' for type_ in PUBLIC_TYPES)}."},
            "created_at": {"type": "string", "format": "date-time"},
            "subject": {
                "type": "object",
                "description": "What it is about.",
                "required": ["type", "id"],
                "properties": {
                    "type": {"type": "string", "examples": ["payment", "refund", "webhook_endpoint"]},
                    "id": {"type": "string", "format": "uuid"},
                },
            },
            "sequence": {
                "type": "integer",
                "description": "The position among the events of the subject: 1, 2, 3 and so on. The highest is the "
                "latest state.",
            },
            "data": {"type": "object", "description": "The subject as it was then, as its own route shows it."},
        },
        "examples": [_EXAMPLE],
    }
    page: Schema = {
        "title": "EventPage",
        "description": "Events, oldest first. A page has fewer than `limit` if more would be too large to send, or if "
        "few events match.",
        "type": "object",
        "required": ["data", "has_more", "next_cursor"],
        "properties": {
            "data": {"type": "array", "items": {"$ref": REF.format(model="EventView")}},
            "has_more": {"type": "boolean", "description": "Whether more may follow at once."},
            "next_cursor": {
                "anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}],
                "description": "The `after` of the next request, now or later. Also on the last page, so that you can "
                "go on with what does not exist yet. Null only while there is no event.",
            },
        },
    }
    return {"EventView": event, "EventPageView": page}


_AFTER = query_parameter(
    "after",
    "An `event_id` or `next_cursor` of this feed: only what comes after it. Empty or absent means the beginning.",
    {"type": "string", "pattern": "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?$"},
)
_FILTERS = [
    query_parameter(
        "type",
        "Only these types, separated by commas. `payment.*` is all of payments.",
        {"type": "string", "example": "payment.*,refund.failed"},
    ),
    query_parameter("payment_id", "Only events of this payment and its refunds.", {"type": "string", "format": "uuid"}),
    query_parameter(
        "created_from", "Created at or after this RFC 3339 time.", {"type": "string", "format": "date-time"}
    ),
    query_parameter("created_to", "Created before this RFC 3339 time.", {"type": "string", "format": "date-time"}),
    _AFTER,
    query_parameter("cursor", "The same as `after`. Send one of them.", dict(_AFTER["schema"])),
]
_LIMIT = query_parameter(
    "limit", "The size of a page, 20 if absent.", {"type": "integer", "minimum": 1, "maximum": 100}
)
_PREFER = header_parameter(
    "Prefer",
    "`wait=N` (RFC 7240): answer an empty page when there is an event, but after at most N seconds. N is at most 20. "
    "The answer comes at once if too many requests are waiting.",
    required=False,
    schema={"type": "string", "example": "wait=10"},
)
_LAST_EVENT_ID = header_parameter(
    "Last-Event-ID",
    "The `id` of the last event that arrived. An EventSource sends it automatically. It wins over `after`.",
    required=False,
    schema=dict(_AFTER["schema"]),
)

_UNREADABLE: Responses = {400: QUERY_MALFORMED}
_INVALID: Responses = {
    422: problem(
        "A parameter is invalid.",
        "validation_failed",
        "cursor_invalid",
        field_codes=(
            "cursor_repeated",
            "event_type_unknown",
            "limit_invalid",
            "repeated",
            "text_malformed",
            "time_invalid",
            "unknown_member",
        ),
    )
}
# Of one event in the stream, as tools for server-sent events understand it.
_STREAMED_EVENT: Schema = {
    "type": "object",
    "required": ["id", "data"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": REF.format(model="EventView")},
        },
    },
}
_STREAM_ANSWER: dict[str, Any] = {
    "description": "Server-sent events. `retry` says after how many milliseconds to connect again, `id` is the cursor, "
    "and `data` an event as JSON, which `GET /events/{event_id}` shows too. A comment says that nothing came.",
    "headers": {
        "Cache-Control": text_header("Answers are not kept.", "no-store"),
        "X-Accel-Buffering": text_header("Asks proxies not to hold events back.", "no"),
    },
    "content": {
        "text/event-stream": {"schema": _STREAMED_EVENT, "example": {"id": _EXAMPLE_ID, "data": json.dumps(_EXAMPLE)}}
    },
}


def _answer(model: str, description: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": REF.format(model=model)}}}
    return {"description": description, "headers": headers or {}, "content": content}


LIST_EVENTS: dict[str, Any] = {
    "operation_id": "listEvents",
    "summary": "List events",
    "responses": {
        200: _answer("EventPageView", "A page of events.", WAITED),
        **_UNREADABLE,
        **_INVALID,
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [*_FILTERS, _LIMIT, _PREFER]},
}

STREAM_EVENTS: dict[str, Any] = {
    "operation_id": "streamEvents",
    "summary": "Stream events",
    "responses": {200: _STREAM_ANSWER, **_UNREADABLE, **_INVALID, **FOR_MERCHANTS},
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [*_FILTERS, _LAST_EVENT_ID]},
}

READ_EVENT: dict[str, Any] = {
    "operation_id": "readEvent",
    "summary": "Read an event",
    "responses": {
        200: _answer("EventView", "The event."),
        400: problem("The request cannot be parsed.", "header_repeated"),
        404: problem("The merchant has no such event.", "event_not_found"),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN},
}

STREAM_PAYMENT: dict[str, Any] = {
    "operation_id": "streamPayment",
    "summary": "Stream the events of a payment",
    "responses": {
        200: _STREAM_ANSWER,
        204: {"description": "The payment is final, and all of its events were read. An EventSource stays closed."},
        404: problem("The merchant has no such payment.", "payment_not_found"),
        410: ARCHIVED,
        **_UNREADABLE,
        422: problem(
            "A parameter is invalid.",
            "validation_failed",
            "cursor_invalid",
            field_codes=("repeated", "unknown_member"),
        ),
        **FOR_MERCHANTS,
    },
    "openapi_extra": {"security": KEY_OR_TOKEN, "parameters": [_AFTER, _LAST_EVENT_ID]},
}
