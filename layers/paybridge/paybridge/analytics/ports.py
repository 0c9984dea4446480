"""What analytics need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from paybridge.database.database import Database, Transaction


class DeliveryEnd(Protocol):
    """A webhook delivery that has ended. `currency` is that of what the webhook told about, None if it has none."""

    @property
    def id(self) -> UUID:
        """Return the id of the delivery."""
        ...

    @property
    def merchant_id(self) -> UUID:
        """Return the id of the merchant that it went to."""
        ...

    @property
    def created_at(self) -> datetime:
        """Return when it began, which never changes."""
        ...

    @property
    def ended_at(self) -> datetime:
        """Return when it ended last."""
        ...

    @property
    def status(self) -> str:
        """Return how it ended: delivered, failed, gone or canceled."""
        ...

    @property
    def currency(self) -> str | None:
        """Return the currency."""
        ...


class DeliveryLog(Protocol):
    """The webhook deliveries in the order in which they ended."""

    def next_after(
        self, transaction: Transaction, after: tuple[datetime | str, UUID], limit: int
    ) -> Sequence[DeliveryEnd]:
        """Return the first `limit` that ended after this end and id. None is ever skipped."""
        ...


class LeftMonths(Protocol):
    """The months whose events may have left the database."""

    def find_gone(self) -> list[date]:
        """Return the months that are no longer in the database. Raises DatabaseUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class AnalyticsServices:
    """What the use cases work with."""

    database: Database
    deliveries: DeliveryLog
    left_months: LeftMonths
