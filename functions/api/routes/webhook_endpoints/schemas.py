"""The fields of requests about webhook endpoints, and of the answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.request.event_patterns import EventPattern
from api.request.parameters import PageQuery, WholeNumber, refuse_nul
from paybridge.core.event_patterns import PATTERN_CHARACTERS_MAX
from paybridge.webhooks.domain.endpoint import (
    DESCRIPTION_CHARACTERS_MAX,
    EVENTS_MAX,
    OVERLAP_SECONDS_MAX,
)
from paybridge.webhooks.domain.resumption import WAITING_SHOWN_MAX
from paybridge.webhooks.domain.states import DeliveryStatus
from paybridge.webhooks.domain.webhook_url import URL_CHARACTERS_MAX

_STRICT = ConfigDict(extra="forbid", frozen=True, regex_engine="rust-regex")

Url = Annotated[
    str,
    Field(
        min_length=1,
        description=f"At most {URL_CHARACTERS_MAX} characters, by https on port 443 or 8443.",
        examples=["https://shop.example/webhooks"],
    ),
    AfterValidator(refuse_nul),
]
Events = Annotated[
    list[EventPattern],
    Field(min_length=1, max_length=EVENTS_MAX, description="The events that the endpoint gets."),
]
Description = Annotated[
    str,
    Field(min_length=1, max_length=DESCRIPTION_CHARACTERS_MAX, examples=["Bookkeeping"]),
    AfterValidator(refuse_nul),
]


class EndpointRequest(BaseModel):
    """An endpoint to create."""

    model_config = _STRICT

    url: Url
    events: Events
    description: Description | None = None


class EndpointChanges(BaseModel):
    """The members of an endpoint to change."""

    model_config = _STRICT

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    status: Annotated[Literal["enabled", "disabled"] | None, Field(description="A disabled endpoint gets nothing.")] = (
        None
    )


class SecretRotationRequest(BaseModel):
    """How long the old secrets go on signing."""

    model_config = _STRICT

    overlap_seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=OVERLAP_SECONDS_MAX,
            description="Seconds for which webhooks are signed with the old secrets too, 86400 if absent. Send 0 if a "
            "secret has leaked.",
        ),
        WholeNumber,
    ] = None


class DeliveryListQuery(PageQuery):
    """Which deliveries of an endpoint to list. Unknown parameters are refused."""

    status: Annotated[DeliveryStatus | None, Field(description="Only deliveries with this status.")] = None
    event_type: Annotated[
        str | None, Field(max_length=PATTERN_CHARACTERS_MAX, description="Only deliveries of events of this type.")
    ] = None


class EndpointSecretView(BaseModel):
    """A secret that signs webhooks."""

    model_config = ConfigDict(title="WebhookSecret")

    last_four: str
    valid_until: Annotated[
        str | None, Field(description="Null for the newest one.", json_schema_extra={"format": "date-time"})
    ]


class ResumptionView(BaseModel):
    """Deliveries that waited while the endpoint was disabled go on, some every second."""

    model_config = ConfigDict(title="WebhookResumption")

    since: Annotated[
        str, Field(description="When the endpoint was enabled.", json_schema_extra={"format": "date-time"})
    ]
    resumed: Annotated[int, Field(description="How many have gone on, or do so within two minutes.")]
    waiting: Annotated[int, Field(description=f"How many still wait. {WAITING_SHOWN_MAX} may be more.")]


class EndpointView(BaseModel):
    """A webhook endpoint."""

    model_config = ConfigDict(title="WebhookEndpoint")

    endpoint_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    url: str
    events: list[str]
    description: str | None
    status: Literal["enabled", "disabled"]
    disabled_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]
    disabled_reason: Annotated[
        Literal["failing", "gone", "merchant"] | None,
        Field(description="It failed for five days, it answered 410, or you disabled it."),
    ]
    failing_since: Annotated[
        str | None,
        Field(description="Since when failures count towards disabling.", json_schema_extra={"format": "date-time"}),
    ]
    secrets: list[EndpointSecretView]
    resuming: Annotated[
        ResumptionView | None, Field(description="What goes on since the endpoint was enabled. Null once all has.")
    ]
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class NewEndpointView(EndpointView):
    """A webhook endpoint with its new secret, which is shown here and never again."""

    model_config = ConfigDict(title="NewWebhookEndpoint")

    secret: Annotated[str, Field(pattern="^whsec_[A-Za-z0-9+/=]+$")]


class EndpointListView(BaseModel):
    """A page of webhook endpoints."""

    model_config = ConfigDict(title="WebhookEndpointList")

    data: list[EndpointView]
    has_more: bool
    next_cursor: str | None


class EndpointTestView(BaseModel):
    """The delivery of a test."""

    model_config = ConfigDict(title="WebhookTest")

    delivery_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    event_id: Annotated[str, Field(description="The `webhook-id` of the test.", json_schema_extra={"format": "uuid"})]
    endpoint_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    type: Literal["webhook_endpoint.test"]
    status: Literal["pending"]


MODELS: tuple[type[BaseModel], ...] = (
    EndpointRequest,
    EndpointChanges,
    SecretRotationRequest,
    ResumptionView,
    EndpointView,
    NewEndpointView,
    EndpointListView,
    EndpointTestView,
)
