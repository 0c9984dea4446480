"""A gateway's statement: what its own books say it did within a range of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.payments.domain.operation import FIRST_KINDS, Kind

# What an operation of each kind does to what the gateway owes us. A hold moves no money, and neither does its release.
SIGNS = {
    Kind.CHARGE: 1,
    Kind.CAPTURE: 1,
    Kind.REFUND: -1,
    Kind.REFUND_REVERSAL: 1,
    Kind.AUTHORIZATION: 0,
    Kind.VOID: 0,
}


class LineStatus(StrEnum):
    """What a gateway says of an operation on its statement."""

    SUCCEEDED = "succeeded"
    PENDING = "pending"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One line of a statement; `amount_minor` is in minor units of `currency`.

    `id` is the gateway's name for what it did. `operation_id` is our reference for it, None if the gateway has none: a
    charge or an authorization may name its payment alone, whose id it has. The reversal of a refund names the refund.
    `at` is the gateway's time.
    """

    id: str
    operation_id: UUID | None
    kind: Kind
    amount_minor: int
    currency: str
    status: LineStatus
    at: datetime

    @property
    def signed_minor(self) -> int:
        """Return what the line adds to what the gateway owes us."""
        return SIGNS[self.kind] * self.amount_minor if self.status is LineStatus.SUCCEEDED else 0


@dataclass(frozen=True, slots=True)
class StatementPage:
    """Some lines of a statement in the gateway's order, and where the next page begins; None after the last."""

    lines: list[StatementLine]
    after: str | None


@dataclass(frozen=True, slots=True)
class StatementUnavailable:
    """The gateway gave no page that can be read. The same page may be there later."""

    error: str


def reference_of(operation_id: UUID | None, payment_id: UUID | None, kind: Kind) -> UUID | None:
    """Return the operation that a line is about: the one it names, else the first operation of the payment it names."""
    if operation_id is not None:
        return operation_id
    return payment_id if kind in FIRST_KINDS else None
