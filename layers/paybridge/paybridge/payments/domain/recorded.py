"""Our record of what a gateway did, in the words of its statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import SIGNS


class OurStatus(StrEnum):
    """What we know of an operation."""

    DONE = "succeeded"
    UNSETTLED = "unsettled"
    FAILED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class OurOperation:
    """An operation of ours, in the words of a statement; `amount_minor` is what was done.

    `key` is the operation id that the gateway's statement has for it: that of the refund for a reversal, and for a
    refund that we recorded late that of the one that had been given up. `gateway` is the name of the one that was
    asked. `is_by_look_up`: it counts as done because the gateway had nothing to do, as the void of a hold that is over,
    so the statement has no line for it.
    `is_the_gateways_own`: the gateway did it unasked, or after we had given up, and it was recorded afterwards.
    """

    id: UUID
    key: UUID
    payment_id: UUID
    merchant_id: UUID
    gateway: str
    kind: Kind
    status: OurStatus
    status_text: str
    amount_minor: int
    currency: str
    gateway_id: str | None
    created_at: datetime
    ended_at: datetime | None
    is_by_look_up: bool = False
    is_the_gateways_own: bool = False

    @property
    def signed_minor(self) -> int:
        """Return what the operation adds to what the gateway owes us."""
        return SIGNS[self.kind] * self.amount_minor if self.status is OurStatus.DONE else 0
