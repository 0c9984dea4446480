"""Merchants: who they are, how they are told of events, and what limits and fees they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from paybridge.access.domain.rate_limit import RateLimit
from paybridge.core.times import format_time

NAME_CHARACTERS_MAX = 200
EMAIL_CHARACTERS_MAX = 254
NOTIFY_MAX = 20
# One address, without a display name: no white space, comma, quote or angle bracket. Mail servers check the rest.
EMAIL_PATTERN = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
# E.164.
PHONE_PATTERN = r"^\+[1-9][0-9]{6,14}$"


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantDetails:
    """What an administrator sets. `notify` are patterns of the events that e-mail and SMS report."""

    name: str
    email: str | None = None
    phone: str | None = None
    notify: tuple[str, ...] = ()
    fees: Mapping[str, Any] | None = None
    rate_limit: RateLimit | None = None
    gateway: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A merchant as it is stored. `fees_valid_from` is when its fees began or will begin to count, None without any."""

    id: UUID
    details: MerchantDetails
    created_at: datetime
    updated_at: datetime
    fees_valid_from: datetime | None = None


def merchant_view(merchant: Merchant) -> dict[str, Any]:
    """Return the merchant as answers show it, JSON-ready."""
    details = merchant.details
    return {
        "merchant_id": str(merchant.id),
        "name": details.name,
        "email": details.email,
        "phone": details.phone,
        "notify": [*details.notify],
        "fees": details.fees,
        "fees_valid_from": None if merchant.fees_valid_from is None else format_time(merchant.fees_valid_from),
        "rate_limit": None if details.rate_limit is None else details.rate_limit.view(),
        "gateway": details.gateway,
        "created_at": format_time(merchant.created_at),
        "updated_at": format_time(merchant.updated_at),
    }
