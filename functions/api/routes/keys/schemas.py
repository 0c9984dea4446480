"""The fields of requests about API keys, and of the answers."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.request.parameters import Time, WholeNumber, refuse_nul
from paybridge.access.domain.api_keys import (
    KEY_PATTERN,
    NAME_CHARACTERS_MAX,
    OVERLAP_SECONDS_MAX,
    KeyState,
)
from paybridge.access.domain.caller import Role
from paybridge.access.domain.rate_limit import BURST_MAX, PER_SECOND_MAX

_STRICT = ConfigDict(extra="forbid", frozen=True, regex_engine="rust-regex")

Name = Annotated[
    str,
    Field(min_length=1, max_length=NAME_CHARACTERS_MAX, description="Your own words.", examples=["Shop, production"]),
    AfterValidator(refuse_nul),
]
MerchantIdText = Annotated[
    str,
    Field(
        pattern=r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
        description="The merchant that the key is for.",
        json_schema_extra={"format": "uuid"},
    ),
]


class RateLimitFields(BaseModel):
    """A limit of requests: in any T seconds at most `burst` + `per_second` * T."""

    model_config = ConfigDict(title="RateLimit", extra="forbid", frozen=True)

    per_second: Annotated[int, Field(ge=1, le=PER_SECOND_MAX, examples=[50]), WholeNumber]
    burst: Annotated[int, Field(ge=1, le=BURST_MAX, examples=[100]), WholeNumber]


class KeyRequest(BaseModel):
    """A key to create. Every member may be left out."""

    model_config = _STRICT

    name: Name | None = None
    role: Annotated[
        Role | None,
        Field(description="What the key may do. A merchant's keys have the role `merchant`, which is the default."),
    ] = None
    expires_at: Annotated[
        Time | None,
        Field(description="From this RFC 3339 time on the key does not work. Never if absent."),
    ] = None
    merchant_id: MerchantIdText | None = None


class AnyonesKeyRequest(KeyRequest):
    """A key to create for a merchant, or with a role of the staff."""

    rate_limit: RateLimitFields | None = None


class RotationRequest(BaseModel):
    """How long the old key goes on working."""

    model_config = _STRICT

    overlap_seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=OVERLAP_SECONDS_MAX,
            description="Seconds for which both keys work, 86400 if absent. 0 ends the old key at once.",
        ),
        WholeNumber,
    ] = None


class KeyView(BaseModel):
    """An API key, without the key itself."""

    model_config = ConfigDict(title="ApiKey")

    key_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    name: str | None
    role: Role
    merchant_id: Annotated[str | None, Field(json_schema_extra={"format": "uuid"})]
    last_four: Annotated[str | None, Field(description="The end of the key. Null for keys from before 2026-12.")]
    status: Annotated[KeyState, Field(description="Whether the key works.")]
    rate_limit: RateLimitFields | None
    created_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    expires_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]
    last_used_at: Annotated[
        str | None,
        Field(description="To the minute, some seconds late.", json_schema_extra={"format": "date-time"}),
    ]
    revoked_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})]
    replaced_by: Annotated[
        str | None, Field(description="The key that rotation has made.", json_schema_extra={"format": "uuid"})
    ]


class NewKeyView(KeyView):
    """A new API key. It is shown here and never again."""

    model_config = ConfigDict(title="NewApiKey")

    api_key: Annotated[str, Field(pattern=f"^{KEY_PATTERN}$")]


class KeyListView(BaseModel):
    """A page of API keys."""

    model_config = ConfigDict(title="ApiKeyList")

    data: list[KeyView]
    has_more: bool
    next_cursor: str | None


MODELS: tuple[type[BaseModel], ...] = (KeyRequest, AnyonesKeyRequest, RotationRequest, KeyView, NewKeyView, KeyListView)
