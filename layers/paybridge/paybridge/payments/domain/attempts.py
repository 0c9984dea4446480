"""The rules of asking a gateway: what a message about an operation leads to, and what an answer does.

An attempt is one request for the operation, under the same idempotency key as every other. It continues, as ask 1, 2
and so on, while the gateway has the operation and only has to be asked again. That uses up no attempt. Only an answer
that says nothing uses one up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from paybridge.core.retry import RetryIn, after_failure, backoff_seconds
from paybridge.payments.domain.gateway_answers import (
    REJECTED,
    Declined,
    GatewayOutcome,
    PartlyApproved,
    RateLimited,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import OPEN_STATUSES, Operation, OperationStatus

# Attempts at one operation. After the last one only asks follow. The constraint operations_number_is_bounded repeats
# this.
ATTEMPTS_MAX = 1000
# Once the schedule is used up, waits double from its last delay up to this.
LATER_WAIT_SECONDS_MAX = 3600.0
LAST_WAIT_SECONDS = 60.0
# For this long a refused repetition means that an earlier request is at work. Gateways settle what they have begun
# within minutes.
UNDER_WAY_SECONDS_MAX = 3600.0
# A gateway that limits the rate and does not say for how long is asked again after 1 s, then 2 s, up to this.
RATE_LIMIT_WAIT_SECONDS_MAX = 30.0

PARTIAL_APPROVAL = "partial_approval"


@dataclass(frozen=True, slots=True)
class LastAttempt:
    """The newest attempt at an operation, the number of its last ask, and when that or the attempt started."""

    number: int
    status: OperationStatus
    started_at: datetime
    ask: int = 0
    # The gateway has said that it has the operation.
    was_pending: bool = False
    # When the attempt itself started, before any ask.
    begun_at: datetime | None = None


def last_attempt(operation: Operation) -> LastAttempt | None:
    """Return the newest attempt at the operation; None before the first."""
    if operation.started_at is None:
        return None
    return LastAttempt(
        operation.number,
        operation.status,
        operation.asked_at or operation.started_at,
        operation.asks,
        operation.pending_at is not None,
        operation.started_at,
    )


@dataclass(frozen=True, slots=True)
class Start:
    """Make the attempt of this number, or go on with it if `ask` is above 0.

    `ask_first`: an earlier call may have done it, so look the operation up first. `was_pending`: the gateway has said
    that it has the operation. Then asking is outside the retries and the circuit. `begun_at`: when an attempt that
    continues started.
    """

    number: int
    ask_first: bool
    ask: int = 0
    was_pending: bool = False
    begun_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Defer:
    """Not now: retry as this attempt and ask after `seconds`."""

    number: int
    seconds: float
    ask: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """Do nothing: the message was handled before."""


AttemptStep = Start | Defer | Skip


def next_step(
    is_new: bool, last: LastAttempt | None, asked: tuple[int, int], now: datetime, lease_seconds: float
) -> AttemptStep:
    """Decide what to do with a message that asks for the attempt and ask `asked` ((1, 0) for a new operation).

    `is_new`: the operation may begin, and nothing was asked yet.

    Messages arrive twice and late, so the recorded attempts decide, not the message:

    * A `started` attempt belongs for `lease_seconds` to the process that started it. After that the process is dead,
      and the next attempt begins by looking the operation up. A start that lies in the future was written by a clock
      that was wrong: then the lease is counted from the first message on, and the next one finds it over.
    * An attempt that is open has its successor waiting in the outbox, and only that one may continue. The sweep, which
      knows of no ask, asks for the next attempt; it gets the ask that is due.
    """
    if last is None:
        return Start(1, ask_first=False) if is_new else Skip()
    if last.status is OperationStatus.STARTED:
        age_seconds = (now - last.started_at).total_seconds()
        is_second_message = age_seconds < 0 and asked == (last.number + 1, 0)
        left_seconds = lease_seconds - max(age_seconds, 0.0)
        if left_seconds > 0 and not is_second_message:
            return Defer(last.number + 1, left_seconds)
        return _next_attempt(last)
    return _successor(last, asked) if last.status in OPEN_STATUSES else Skip()


def _successor(last: LastAttempt, asked: tuple[int, int]) -> Start | Skip:
    if asked == (last.number, last.ask + 1):
        return _next_ask(last)
    if asked != (last.number + 1, 0):
        return Skip()
    return _next_attempt(last) if last.status is OperationStatus.UNKNOWN else _next_ask(last)


def _next_attempt(last: LastAttempt) -> Start:
    if last.number >= ATTEMPTS_MAX or last.was_pending:
        return _next_ask(last)
    return Start(last.number + 1, ask_first=True)


def _next_ask(last: LastAttempt) -> Start:
    # A first attempt that was only ever turned away has done nothing, so there is nothing to look up.
    ask_first = last.number > 1 or last.status is not OperationStatus.RATE_LIMITED
    return Start(last.number, ask_first, last.ask + 1, last.was_pending, last.begun_at)


@dataclass(frozen=True, slots=True)
class Settle:
    """The operation ends as `status`: succeeded, partial or declined. A failure has a code and a message.

    `gave_up`: the gateway knew of no such operation when it was last asked, and never said that there will be one.
    """

    status: OperationStatus
    failure_code: str | None = None
    failure_message: str | None = None
    gave_up: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Go on with the operation after `seconds`: as the attempt `number`, or with that attempt if `ask` is above 0."""

    number: int
    seconds: float
    ask: int = 0


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the gateway is asked again, in seconds.

    `retry_delays` are the waits between attempts whose outcome is unknown, `pending_delays` those between the asks for
    an operation that the gateway has; the last of them repeats.
    """

    retry_delays: Sequence[float]
    pending_delays: Sequence[float]


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """Which attempt an answer belongs to, which ask of it, and how long ago the attempt started, in seconds.

    `gives_up`: after the schedule the operation may fail, if the gateway knows of none.
    """

    number: int
    ask: int = 0
    was_pending: bool = False
    age_seconds: float = 0.0
    gives_up: bool = True


def after_answer(place: AttemptPlace, answer: GatewayOutcome, schedule: Schedule) -> Settle | Retry:
    """Decide what follows an answer: the operation settles, or the gateway is asked again."""
    match answer:
        case Succeeded():
            decision: Settle | Retry = Settle(OperationStatus.SUCCEEDED)
        case PartlyApproved():
            message = "The gateway approved only a part, which is given back."
            decision = Settle(OperationStatus.PARTIAL, PARTIAL_APPROVAL, message)
        case Declined(failure_code, message):
            decision = Settle(OperationStatus.DECLINED, failure_code, message)
        case RateLimited():
            decision = Retry(place.number, _rate_limit_wait(place, answer), place.ask + 1)
        case UnderWay() if place.gives_up and _is_refused_for_good(place, answer):
            message = "The gateway does not accept this request."
            decision = Settle(OperationStatus.DECLINED, REJECTED, message, gave_up=True)
        case Unknown() if not place.was_pending:
            decision = _after_unknown(place, answer, schedule)
        case _:
            decision = _ask_again(place, schedule)
    return decision


def _after_unknown(place: AttemptPlace, answer: Unknown, schedule: Schedule) -> Settle | Retry:
    """Decide what follows an attempt with an unknown outcome: another attempt, or after the last one a failure.

    The operation fails only if the gateway, asked after that attempt, knows of none (`never_arrived`). While the
    gateway cannot say, the money may have moved.
    """
    follow_up = after_failure(place.number, schedule.retry_delays)
    if isinstance(follow_up, RetryIn) and place.number < ATTEMPTS_MAX:
        return Retry(place.number + 1, follow_up.seconds)
    if answer.never_arrived and place.gives_up:
        message = "The gateway gave no clear answer to any try."
        return Settle(OperationStatus.DECLINED, answer.failure_code, message, gave_up=True)
    if place.number >= ATTEMPTS_MAX:
        return _ask_again(place, schedule)
    last_seconds = schedule.retry_delays[-1] if schedule.retry_delays else LAST_WAIT_SECONDS
    beyond = place.number - len(schedule.retry_delays)
    most_seconds = max(last_seconds, LATER_WAIT_SECONDS_MAX)
    return Retry(place.number + 1, backoff_seconds(beyond, last_seconds, most_seconds))


def _ask_again(place: AttemptPlace, schedule: Schedule) -> Retry:
    return Retry(place.number, pending_delay(place.ask, schedule), place.ask + 1)


def pending_delay(ask: int, schedule: Schedule) -> float:
    """Return the seconds between an ask, 0 for the attempt itself, and the next."""
    delays = schedule.pending_delays or (LAST_WAIT_SECONDS,)
    return delays[min(ask, len(delays) - 1)]


def _is_refused_for_good(place: AttemptPlace, answer: UnderWay) -> bool:
    """Tell whether no earlier request can still be at work: each was made before this attempt started."""
    # The number of asks says nothing about time: those that were turned away for their rate follow within seconds.
    return answer.not_found and not place.was_pending and place.age_seconds > UNDER_WAY_SECONDS_MAX


def _rate_limit_wait(place: AttemptPlace, answer: RateLimited) -> float:
    if answer.retry_after_seconds is not None:
        return max(answer.retry_after_seconds, 1.0)
    return backoff_seconds(place.ask + 1, 1.0, RATE_LIMIT_WAIT_SECONDS_MAX)
