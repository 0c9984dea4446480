"""The fields of requests about deliveries and recoveries, and of the answers, which webhooks/domain makes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.request.parameters import Time as RequestTime

_ID_EXAMPLES = ["019a9f3c-5b6d-7c3e-9f40-9f38f9a4d111"]
_TIME_EXAMPLES = ["2026-04-17T12:00:03.500000+00:00"]

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=_ID_EXAMPLES)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=_TIME_EXAMPLES)]


class RecoveryRequest(BaseModel):
    """From when on to send what was missed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: Annotated[
        RequestTime,
        Field(
            description="An RFC 3339 time that has passed. Events at or after it are looked at.",
            examples=["2026-04-17T12:00:00Z"],
        ),
    ]


class WebhookRecovery(BaseModel):
    """The search for what an endpoint has missed."""

    recovery_id: Id
    endpoint_id: Id
    state: Annotated[
        Literal["running", "finished", "canceled"],
        Field(description="`canceled` if the endpoint was deleted or disabled meanwhile. Other states may follow."),
    ]
    since: Annotated[Time, Field(description="From when on events are looked at.")]
    checked: Annotated[int, Field(description="How many events were looked at.", examples=[1200])]
    sent: Annotated[int, Field(description="How many deliveries were begun.", examples=[7])]
    created_at: Time
    finished_at: Annotated[Time | None, Field(description="When the search ended. Null while it runs.")]


class WebhookAttempt(BaseModel):
    """One request to the receiver, and its answer."""

    number: Annotated[int, Field(description="Counted from 1, redeliveries included.", examples=[1])]
    status: Annotated[
        Literal["started", "delivered", "failed"],
        Field(description="`started` until the attempt has ended."),
    ]
    response_status: Annotated[
        int | None, Field(description="The status code of the answer. Null if none came.", examples=[503])
    ]
    error: Annotated[
        str | None,
        Field(
            description="Why no answer came: `timeout`, `connect_failed`, `tls_failed`, `address_not_allowed`, "
            "`url_not_allowed`, `invalid_secret`, `protocol_error`, `internal_error`, or `interrupted` if our process "
            "ended before it knew. Others may follow."
        ),
    ]
    response_excerpt: Annotated[
        str | None,
        Field(
            description="The first 256 characters of the body of the answer, control characters escaped.",
            examples=["upstream is down"],
        ),
    ]
    duration_ms: Annotated[
        int | None, Field(description="From the connection to the end of the answer, in milliseconds.", examples=[87])
    ]
    started_at: Time
    finished_at: Time | None


class WebhookDelivery(BaseModel):
    """An event on its way to one receiver."""

    delivery_id: Id
    endpoint_id: Annotated[
        Id | None, Field(description="The endpoint. Null if it goes to the `webhook_url` of its payment.")
    ]
    payment_id: Annotated[Id | None, Field(description="The payment. Null for an event about no payment.")]
    event_id: Annotated[Id, Field(description="The id of the event, sent as `webhook-id` by every attempt.")]
    event_type: Annotated[str, Field(description="The type of the event.", examples=["payment.succeeded"])]
    url: Annotated[str, Field(description="Where it is sent.", examples=["https://shop.example/hooks"])]
    status: Annotated[
        Literal["pending", "delivered", "failed", "gone", "canceled"],
        Field(
            description="`failed` after the last attempt, `gone` after an answer 410, `canceled` if the endpoint was "
            "deleted or no longer chose the event. Other statuses may follow."
        ),
    ]
    attempt_count: Annotated[int, Field(description="How many attempts were started.", examples=[1])]
    next_attempt_at: Annotated[
        Time | None, Field(description="When the next attempt is due. Null before the first, and after the last.")
    ]
    created_at: Time
    finished_at: Annotated[Time | None, Field(description="When the delivery ended. Null while it is pending.")]


class ListedWebhookDelivery(WebhookDelivery):
    """A delivery in a list, with its newest attempt."""

    last_attempt: Annotated[WebhookAttempt | None, Field(description="The newest attempt. Null before the first.")]


class WebhookDeliveryRecord(ListedWebhookDelivery):
    """A delivery with what is sent, and with every attempt."""

    body: Annotated[str, Field(description="The exact body, which the signature of each attempt is about.")]
    attempts: Annotated[list[WebhookAttempt], Field(description="Every attempt, the first one first.")]


class WebhookDeliveryList(BaseModel):
    """A page of deliveries."""

    data: list[ListedWebhookDelivery]
    has_more: bool
    next_cursor: str | None


MODELS: tuple[type[BaseModel], ...] = (
    WebhookDelivery,
    WebhookDeliveryRecord,
    WebhookDeliveryList,
    RecoveryRequest,
    WebhookRecovery,
)
