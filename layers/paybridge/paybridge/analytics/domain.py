"""What is counted of a merchant's day in one currency, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from paybridge.core.events import (
    PAYMENT_CANCELED,
    PAYMENT_CREATED,
    PAYMENT_FAILED,
    PAYMENT_PARTIALLY_REFUNDED,
    PAYMENT_REFUNDED,
    PAYMENT_REQUIRES_CAPTURE,
    PAYMENT_REVIEW,
    PAYMENT_SUCCEEDED,
    REFUND_CREATED,
    REFUND_FAILED,
    REFUND_SUCCEEDED,
)

_MICROSECONDS = Decimal(1_000_000)
_MILLISECOND, _MILLIONTH = Decimal("0.001"), Decimal("0.000001")


class Outcome(StrEnum):
    """What has become of a payment or refund. A payment that was refunded has succeeded before."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


# What an event says about its payment. `payment.processing` says nothing that `payment.created` has not said.
PAYMENT_OUTCOMES: Mapping[str, Outcome] = {
    PAYMENT_CREATED: Outcome.OPEN,
    PAYMENT_REVIEW: Outcome.OPEN,
    PAYMENT_REQUIRES_CAPTURE: Outcome.AUTHORIZED,
    PAYMENT_SUCCEEDED: Outcome.SUCCEEDED,
    PAYMENT_PARTIALLY_REFUNDED: Outcome.SUCCEEDED,
    PAYMENT_REFUNDED: Outcome.SUCCEEDED,
    PAYMENT_FAILED: Outcome.FAILED,
    PAYMENT_CANCELED: Outcome.CANCELED,
}
REFUND_OUTCOMES: Mapping[str, Outcome] = {
    REFUND_CREATED: Outcome.OPEN,
    REFUND_SUCCEEDED: Outcome.SUCCEEDED,
    REFUND_FAILED: Outcome.FAILED,
}


class DayKey(NamedTuple):
    """A day (UTC) of a merchant in a currency. A month is named by its first day."""

    merchant_id: UUID
    day: date
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted of a day or a month. Amounts are exact decimals as texts.

    `settling_us` are the microseconds from creation to the first outcome of all `settled` payments. Percentiles are
    those of a day: months have none, because percentiles of days do not add up.
    """

    key: DayKey
    payments: int
    unsettled: int
    authorized: int
    succeeded: int
    failed: int
    canceled: int
    amount: str
    captured: str
    settled: int
    settling_us: int
    settling_p50_us: int | None
    settling_p95_us: int | None
    refunds: int
    refunds_open: int
    refunds_failed: int
    refunded: str
    webhooks_delivered: int
    webhooks_failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which figures: of the days from `first` to `last`, of one merchant and currency or of all if it is None."""

    first: date
    last: date
    merchant_id: UUID | None = None
    currency: str | None = None


# The members of a view, which are the columns of the CSV.
COLUMNS = (
    "merchant_id", "day", "currency", "payments", "succeeded", "failed", "canceled", "authorized", "open",
    "failure_rate", "amount", "volume", "processing_mean_seconds", "processing_p50_seconds", "processing_p95_seconds",
    "refunds", "refunds_failed", "refunds_open", "refunded", "webhooks_delivered", "webhooks_failed",
    "webhook_success_rate",
)  # fmt: skip
# Months have the month in place of the day, and no percentiles.
MONTH_COLUMNS = tuple(
    "month" if name == "day" else name for name in COLUMNS if not name.startswith(("processing_p50", "processing_p95"))
)


def day_view(figures: Figures) -> dict[str, Any]:
    """Return the figures of a day as answers show them. Rates and seconds are decimals, None without anything."""
    return {name: _members(figures)[name] for name in COLUMNS}


def month_view(figures: Figures) -> dict[str, Any]:
    """Return the figures of a month as answers show them; see `day_view`."""
    members = _members(figures) | {"month": f"{figures.key.day:%Y-%m}"}
    return {name: members[name] for name in MONTH_COLUMNS}


def csv_lines(columns: Iterable[str], views: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the views as lines of CSV, the names of the columns first. No value holds a comma, quote or line end."""
    names = list(columns)
    rows = (",".join("" if view[name] is None else str(view[name]) for name in names) for view in views)
    return [",".join(names), *rows]


def _members(figures: Figures) -> dict[str, Any]:
    key = figures.key
    decided = figures.payments - figures.unsettled
    sent = figures.webhooks_delivered + figures.webhooks_failed
    return {
        "merchant_id": str(key.merchant_id),
        "day": key.day.isoformat(),
        "currency": key.currency,
        "payments": figures.payments,
        "succeeded": figures.succeeded,
        "failed": figures.failed,
        "canceled": figures.canceled,
        "authorized": figures.authorized,
        "open": figures.unsettled,
        "failure_rate": _rate(figures.failed, decided),
        "amount": figures.amount,
        "volume": figures.captured,
        "processing_mean_seconds": _seconds(figures.settling_us, figures.settled),
        "processing_p50_seconds": _seconds(figures.settling_p50_us, 1),
        "processing_p95_seconds": _seconds(figures.settling_p95_us, 1),
        "refunds": figures.refunds,
        "refunds_failed": figures.refunds_failed,
        "refunds_open": figures.refunds_open,
        "refunded": figures.refunded,
        "webhooks_delivered": figures.webhooks_delivered,
        "webhooks_failed": figures.webhooks_failed,
        "webhook_success_rate": _rate(figures.webhooks_delivered, sent),
    }


def _rate(part: int, whole: int) -> Decimal | None:
    return (Decimal(part) / whole).quantize(_MILLIONTH) if whole else None


def _seconds(microseconds: int | None, count: int) -> Decimal | None:
    if microseconds is None or not count:
        return None
    return (Decimal(microseconds) / count / _MICROSECONDS).quantize(_MILLISECOND)
