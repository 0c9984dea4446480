"""The rules of charging: what a message about a payment leads to, and what an unclear answer does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.core.retry import RetryIn, after_failure
from paybridge.payments.domain.payment import Status

OPERATION = "charge"
# Between look-ups of an unclear charge if the schedule of retries is empty.
LAST_WAIT_SECONDS = 60.0


class AttemptStatus(StrEnum):
    """The state of an attempt at a charge."""

    STARTED = "started"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class LastAttempt:
    """The newest attempt at charging a payment."""

    number: int
    status: AttemptStatus
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Start:
    """Make the attempt of this number. `ask_first`: an earlier one may have charged, so look the charge up first."""

    number: int
    ask_first: bool


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: retry as the attempt of this number after `seconds`."""

    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Skip:
    """Do nothing: the message was handled before."""


ChargeStep = Start | Defer | Skip


def next_step(
    status: Status, last: LastAttempt | None, asked_number: int, now: datetime, lease_seconds: float
) -> ChargeStep:
    """Decide what to do with a message that asks for the attempt `asked_number` (1 for a new payment).

    Messages arrive twice and late, so the recorded attempts decide, not the message:

    * A `started` attempt belongs for `lease_seconds` to the process that started it. After that the process is dead,
      and the next attempt begins by looking the charge up.
    * An `unknown` attempt has its successor waiting in the outbox, and only that one may continue.
    """
    if status is Status.PENDING and last is None:
        return Start(1, ask_first=False)
    if status is not Status.PROCESSING or last is None:
        return Skip()
    if last.status is AttemptStatus.STARTED:
        left_seconds = lease_seconds - (now - last.started_at).total_seconds()
        if left_seconds > 0:
            return Defer(last.number + 1, left_seconds)
        return Start(last.number + 1, ask_first=True)
    if last.status is AttemptStatus.UNKNOWN and asked_number == last.number + 1:
        return Start(asked_number, ask_first=True)
    return Skip()


def gateway_key(payment_id: UUID, operation: str = OPERATION) -> str:
    """Return the gateway's idempotency key: one per payment and operation, the same on every attempt."""
    return f"{payment_id}:{operation}"


@dataclass(frozen=True, slots=True)
class Settle:
    """The payment reaches `status`; a failure has a code and a message."""

    status: Status
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class RetryCharge:
    """The outcome is unknown: make the attempt `number` after `seconds`."""

    number: int
    seconds: float


def after_unknown(
    number: int, failure_code: str, delays_seconds: Sequence[float], never_arrived: bool
) -> Settle | RetryCharge:
    """Decide what follows an attempt with an unknown outcome: another attempt, or after the last one a failure.

    The payment fails only if the gateway, asked after that attempt, knows of no charge (`never_arrived`). While the
    gateway cannot say, the money may have moved, and the last delay repeats until it can.
    """
    follow_up = after_failure(number, delays_seconds)
    if isinstance(follow_up, RetryIn):
        return RetryCharge(number + 1, follow_up.seconds)
    if never_arrived:
        return Settle(Status.FAILED, failure_code, "The gateway gave no clear answer to any try.")
    return RetryCharge(number + 1, delays_seconds[-1] if delays_seconds else LAST_WAIT_SECONDS)
