"""When to ask for the charge of a payment that was given up: at growing ages, because a gateway may charge it late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.payments.domain.gateway_answers import (
    Declined,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Succeeded,
)

# After the last age an answer that says nothing is asked for again, so often apart, up to as many times the last age.
LAST_WAIT_SECONDS = 24 * 3600.0
LAST_AGES_MAX = 2


@dataclass(frozen=True, slots=True)
class ChargedLate:
    """The gateway took `amount_minor`, in the payment's currency, after the payment had been given up."""

    gateway_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Ask again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LookNoMore:
    """The gateway will not charge any more."""


def after_look_up(
    answer: LookUpAnswer, asked_minor: int, age_seconds: float, ages_seconds: Sequence[float]
) -> ChargedLate | LookAgain | LookNoMore:
    """Decide what follows a look-up so long after the payment was given up; `ages_seconds` are the ages to ask at.

    A charge that the gateway does not know yet may still come. Only after the last age its absence is final.
    """
    match answer:
        case Succeeded(gateway_id):
            return ChargedLate(gateway_id, asked_minor)
        case PartlyApproved(gateway_id, approved_minor):
            return ChargedLate(gateway_id, approved_minor)
        case Declined():
            return LookNoMore()
    wait_seconds = next_look_up(age_seconds, ages_seconds)
    if wait_seconds is not None:
        return LookAgain(wait_seconds)
    is_final = isinstance(answer, NotFound) or age_seconds >= LAST_AGES_MAX * max(ages_seconds, default=0)
    return LookNoMore() if is_final else LookAgain(LAST_WAIT_SECONDS)


def next_look_up(age_seconds: float, ages_seconds: Sequence[float]) -> float | None:
    """Return the seconds until the next age to ask at, or None after the last."""
    return min((age - age_seconds for age in ages_seconds if age > age_seconds), default=None)
