"""What screening asks of the feature that has the payments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.ids import Ids
from paybridge.database.database import Database, Transaction
from paybridge.fraud.domain.rules import ScreenedPayment


class CustomerLook(NamedTuple):
    """A question: did this customer of the merchant have a payment that began, with an id below `before`?"""

    merchant_id: UUID
    customer: str
    before: UUID


class PaymentCounts(NamedTuple):
    """How many payments were created from the first moment on and before the second, and from there to the third."""

    earlier: int
    wanted: int


class PaymentHistory(Protocol):
    """The past payments."""

    def known_customers(self, transaction: Transaction, looks: Sequence[CustomerLook]) -> set[CustomerLook]:
        """Return the questions whose answer is yes."""
        ...

    def count(
        self, transaction: Transaction, merchant_id: UUID, since: datetime, begin: datetime, end: datetime
    ) -> PaymentCounts:
        """Count the merchant's payments created between the three moments."""
        ...

    def read(
        self, transaction: Transaction, merchant_id: UUID, after: UUID, since: datetime, end: datetime, limit: int
    ) -> list[ScreenedPayment]:
        """Return up to `limit` payments created from `since` to before `end`, with ids above `after`, in their order.

        Their `at` is when they were created.
        """
        ...


@dataclass(frozen=True, slots=True)
class FraudServices:
    """What the use cases work with."""

    database: Database
    clock: Clock
    ids: Ids
    history: PaymentHistory
