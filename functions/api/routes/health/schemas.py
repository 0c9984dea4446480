"""What the health routes answer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class HealthView(BaseModel):
    """The function is alive."""

    model_config = ConfigDict(title="Health")

    status: Literal["ok"]
    version: Annotated[str, Field(description="The version of the API.", examples=["1.0.0"])]
    revision: Annotated[
        str | None,
        Field(description="The release that `make deploy` printed. Null on the local stack.", examples=["6f1c0d2a9b"]),
    ]


class ReadinessCheckView(BaseModel):
    """A dependency that payments need."""

    model_config = ConfigDict(title="ReadinessCheck", extra="allow")

    name: Literal["database", "schema", "relay", "broker"]
    ok: bool


class ReadinessView(BaseModel):
    """Whether payments can be accepted and, unless only that was asked, handed on to RabbitMQ."""

    model_config = ConfigDict(title="Readiness")

    status: Literal["ready"]
    checks: list[ReadinessCheckView]
