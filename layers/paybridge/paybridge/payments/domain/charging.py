"""What a message about a payment makes us do, and what an answer of the gateway makes of the payment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from paybridge.core.retry import RetryIn, after_failure
from paybridge.payments.domain.payment import Status

OPERATION = "charge"
# Between tries to learn what became of a charge, when the schedule names no wait at all.
LAST_WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LastAttempt:
    """The newest attempt at charging a payment."""

    number: int
    status: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """Make the attempt of this number. `ask_first`: the gateway may know of the charge already."""

    number: int
    ask_first: bool


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: come back with the attempt of this number after so many seconds."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to do: the message has been acted upon already."""


Step = Start | Defer | Skip


def next_step(status: Status, last: LastAttempt | None, asked_number: int, now: datetime, lease_seconds: float) -> Step:
    """What to do with a message that asks for the attempt `asked_number` (1 for a new payment).

    Messages come more than once and late, so the attempts on record decide, not the message:

    * an attempt that is `started` belongs to whoever began it, for `lease_seconds`; after that its owner is dead, and
      the next attempt begins by asking the gateway what became of it;
    * an attempt that is `unknown` has its successor waiting in the outbox: only that one may go on.
    """
    if status is Status.PENDING and last is None:
        return Start(1, ask_first=False)
    if status is not Status.PROCESSING or last is None:
        return Skip()
    if last.status == "started":
        left_seconds = lease_seconds - (now - last.started_at).total_seconds()
        if left_seconds > 0:
            return Defer(last.number + 1, left_seconds)
        return Start(last.number + 1, ask_first=True)
    if last.status == "unknown" and asked_number == last.number + 1:
        return Start(asked_number, ask_first=True)
    return Skip()


def gateway_key(payment_id: UUID, operation: str = OPERATION) -> str:
    """The gateway's idempotency key: one per payment and operation, the same on every attempt."""
    return f"{payment_id}:{operation}"


@dataclass(frozen=True, slots=True)
class Settle:
    """The payment reaches `status`, with a reason when it failed."""

    status: Status
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class RetryCharge:
    """The outcome is unknown: make the attempt `number` after so many seconds."""

    number: int
    seconds: float


def after_unknown(
    number: int, failure_code: str, delays_seconds: Sequence[float], never_arrived: bool
) -> Settle | RetryCharge:
    """What follows an attempt with an unknown outcome: another one, or after the last the payment fails.

    It fails only when the gateway, asked after that try, has never heard of the charge (`never_arrived`). As long as
    it cannot say, the money may have moved: then the last wait is repeated until it can.
    """
    follow_up = after_failure(number, delays_seconds)
    if isinstance(follow_up, RetryIn):
        return RetryCharge(number + 1, follow_up.seconds)
    if never_arrived:
        return Settle(Status.FAILED, failure_code, "The gateway gave no clear answer to any try.")
    return RetryCharge(number + 1, delays_seconds[-1] if delays_seconds else LAST_WAIT_SECONDS)
