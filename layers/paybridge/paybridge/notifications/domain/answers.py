"""What a provider answered, and what follows.

accepted     the provider has it                     sent
not sent     the provider certainly does not         retry, or failed
unclear      it may have it                          e-mail: retry, SMS: unclear for ever
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.core.retry import GiveUp, RetryIn, after_failure
from paybridge.notifications.domain.notification import Channel

# The errors of a notification that no answer of a provider explains.
INTERRUPTED = "interrupted"
INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took the message and gave it this id."""

    message_id: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """The provider certainly did not take the message. Permanent: it never will.

    `is_outage`: the provider takes no message at all now, so others need not be tried.
    """

    error: str
    is_permanent: bool = False
    is_outage: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeUnclear:
    """The message may have been taken: the answer was lost, or was an error of the provider's own."""

    error: str
    is_outage: bool = True


Answer = Accepted | NotSent | OutcomeUnclear


@dataclass(frozen=True, slots=True)
class LeaveUnclear:
    """Do not try again, because the contact might get the message twice."""


NextStep = Accepted | RetryIn | GiveUp | LeaveUnclear


def decide(channel: Channel, answer: Answer, attempt: int, retry_delays_seconds: Sequence[float]) -> NextStep:
    """Decide what follows the answer to attempt number `attempt`, counted from 1."""
    match answer:
        case Accepted():
            return answer
        case OutcomeUnclear() if channel is Channel.SMS:
            return LeaveUnclear()
        case NotSent(is_permanent=True):
            return GiveUp()
        case _:
            return after_failure(attempt, retry_delays_seconds)


def is_outage(answer: Answer) -> bool:
    """Return whether the provider takes no message at all now."""
    return not isinstance(answer, Accepted) and answer.is_outage
