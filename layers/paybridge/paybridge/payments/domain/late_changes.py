"""When to ask again about an operation that has ended, and what the gateway's answer means then.

A gateway may do later what we gave up, and it may take a refund back. So it is asked again, at growing ages:

* a charge, an authorization or a refund that was given up: did it happen after all?
* a refund that succeeded: does it stand?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paybridge.payments.domain.gateway_answers import (
    Declined,
    LookUpAnswer,
    NotFound,
    PartlyApproved,
    Pending,
    Succeeded,
)
from paybridge.payments.domain.operation import FIRST_KINDS, Kind, Operation, OperationStatus

# After the last age the gateway is asked at this interval while it gives no clear answer, until this many times the
# last age. It is asked without end while it has the operation and has not decided.
LAST_WAIT_SECONDS = 24 * 3600.0
LAST_AGES_MAX = 2


@dataclass(frozen=True, slots=True)
class CheckAges:
    """The ages in seconds of an operation that has ended at which the gateway is asked about it again.

    `given_up` are those of an operation that was given up, `refunds` those of a refund that succeeded.
    """

    given_up: Sequence[float]
    refunds: Sequence[float]


@dataclass(frozen=True, slots=True)
class ChargedLate:
    """The gateway took or held `amount_minor`, in the payment's currency, after the payment had been given up."""

    gateway_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RefundedLate:
    """The gateway gave `amount_minor` back, in the payment's currency, after the refund had been given up."""

    gateway_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The gateway took a refund back that had succeeded."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """Ask again after `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class LookNoMore:
    """Nothing more is expected to change."""


LateChange = ChargedLate | RefundedLate | TakenBack
LateStep = LateChange | LookAgain | LookNoMore


def first_check_seconds(kind: Kind, status: OperationStatus, gave_up: bool, ages: CheckAges) -> float | None:
    """Return the age at which to ask for the first time about an operation that ends now; None for never."""
    if kind is Kind.REFUND and status is OperationStatus.SUCCEEDED:
        return next_look_up(0, ages.refunds)
    if gave_up and (kind in FIRST_KINDS or kind is Kind.REFUND):
        return next_look_up(0, ages.given_up)
    return None


def after_look_up(operation: Operation, answer: LookUpAnswer, age_seconds: float, ages: CheckAges) -> LateStep:
    """Decide what follows a look-up so long after the operation has ended.

    What the gateway does not know yet may still come. Only after the last age its absence is final.
    """
    if operation.kind is Kind.REFUND and operation.status is OperationStatus.SUCCEEDED:
        return _after_refund(answer, age_seconds, ages.refunds)
    if operation.status in {OperationStatus.SUCCEEDED, OperationStatus.PARTIAL, OperationStatus.REVERSED}:
        return LookNoMore()
    if operation.kind not in FIRST_KINDS and operation.kind is not Kind.REFUND:
        return LookNoMore()
    return _after_given_up(operation, answer, age_seconds, ages.given_up)


def _after_given_up(
    operation: Operation, answer: LookUpAnswer, age_seconds: float, ages_seconds: Sequence[float]
) -> LateStep:
    match answer:
        case Succeeded(gateway_id):
            amount_minor = operation.amount_minor
        case PartlyApproved(gateway_id, amount_minor):
            pass
        case Declined():
            return LookNoMore()
        case Pending():
            # The gateway has it. It may take days to decide, and money may move then.
            return LookAgain(next_look_up(age_seconds, ages_seconds) or LAST_WAIT_SECONDS)
        case _:
            return _look_again(isinstance(answer, NotFound), age_seconds, ages_seconds)
    late = ChargedLate if operation.kind in FIRST_KINDS else RefundedLate
    return late(gateway_id, amount_minor)


def _after_refund(answer: LookUpAnswer, age_seconds: float, ages_seconds: Sequence[float]) -> LateStep:
    # A refund that the gateway does not find was not taken back: gateways forget old records.
    if isinstance(answer, Declined):
        return TakenBack()
    return _look_again(isinstance(answer, Succeeded | NotFound), age_seconds, ages_seconds)


def _look_again(is_final: bool, age_seconds: float, ages_seconds: Sequence[float]) -> LookAgain | LookNoMore:
    """Ask at the next age; after the last one no more if the answer is final."""
    wait_seconds = next_look_up(age_seconds, ages_seconds)
    if wait_seconds is not None:
        return LookAgain(wait_seconds)
    is_final = is_final or age_seconds >= LAST_AGES_MAX * max(ages_seconds, default=0)
    return LookNoMore() if is_final else LookAgain(LAST_WAIT_SECONDS)


def next_look_up(age_seconds: float, ages_seconds: Sequence[float]) -> float | None:
    """Return the seconds until the next age to ask at, or None after the last."""
    return min((age - age_seconds for age in ages_seconds if age > age_seconds), default=None)
