"""What the health routes answer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class HealthView(BaseModel):
    """The function is alive."""

    model_config = ConfigDict(title="Health")

    status: Literal["ok"]


class ReadinessCheckView(BaseModel):
    """A dependency that payments need."""

    model_config = ConfigDict(title="ReadinessCheck", extra="allow")

    name: Literal["database", "schema", "relay", "broker"]
    ok: bool


class ReadinessView(BaseModel):
    """Whether payments can be accepted."""

    model_config = ConfigDict(title="Readiness")

    status: Literal["ready"]
    checks: list[ReadinessCheckView]
