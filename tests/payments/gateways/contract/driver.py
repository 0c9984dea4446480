"""The gateway under test: an adapter, and the levers that provoke faults at the gateway behind it.

A new adapter joins the suite with its own `Gateway` in `conftest.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol
from uuid import UUID

from paybridge.payments.domain.operation import Kind
from paybridge.payments.ports import PaymentGateway, StatementSource

# How long an adapter waits for an answer that comes, however busy the machine is.
ANSWER_SECONDS_MAX = 30.0


class Money(Enum):
    """How the money behind a payment method behaves."""

    GOOD = "succeeds in everything"
    DECLINED = "the card is declined"
    WITHOUT_FUNDS = "declined for insufficient funds"
    IN_PART = "less than the amount is approved"
    PENDING = "decided later, for it"
    PENDING_DECLINED = "decided later, against it"
    SHORT_HOLD = "the authorization expires"
    CAPTURE_DECLINED = "authorized, and the capture is declined"
    REFUND_DECLINED = "charged, and the refund is declined"
    REFUND_TAKEN_BACK = "the refund succeeds and is taken back later"


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed in the gateway's own books: money that it took, held, released or gave back.

    `amount_minor` is in the minor units of the payment, converted by the driver and not by the adapter.
    """

    kind: Kind
    amount_minor: int
    currency: str


class Adapter(PaymentGateway, StatementSource, Protocol):
    """What is asked for operations and for the statement."""


class Gateway(Protocol):
    """A gateway with its adapter. A fault strikes the next request for an operation, and no look-up."""

    adapter: Adapter

    async def method(self, money: Money) -> str | None:
        """Prepare the gateway for money of this kind and return the payment method that stands for it."""
        ...

    async def lose_request(self) -> None:
        """Do not carry out the next request, and never answer it."""
        ...

    async def lose_answer(self) -> None:
        """Carry out the next request, and never answer it."""
        ...

    async def hold(self) -> None:
        """Carry out the next request once `release` is called. Until then its repetition is refused as in progress."""
        ...

    async def release(self) -> None:
        """Carry out the request that is held."""
        ...

    async def fail(self) -> None:
        """Answer the next request with an internal error, and do nothing."""
        ...

    async def fail_after_the_deed(self) -> None:
        """Carry out the next request, and answer it with an internal error."""
        ...

    async def limit_rate(self) -> None:
        """Answer the next request with 429 and do nothing."""
        ...

    async def forget_keys(self) -> None:
        """Let 24 hours pass, after which the gateway has forgotten every idempotency key."""
        ...

    async def let_time_pass(self) -> None:
        """Let happen what happens later: decisions on what is pending, short holds that expire, refunds taken back."""
        ...

    async def books(self, payment_id: UUID) -> Sequence[Entry]:
        """Return what the gateway did for the payment, oldest first: successes alone, in its own record."""
        ...
