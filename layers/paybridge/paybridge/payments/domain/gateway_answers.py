"""What a gateway can say about an operation.

    Succeeded            it did what was asked for
    PartlyApproved       it took less money
    Declined             it decided against it
    Pending              it has the operation and will decide later
    UnderWay             it refuses a second request while the first may be at work
    NotFound             it has never heard of our reference
    RateLimited          it takes no more requests now
    RefusedRequest       it does not accept the request, without a word about the card
    Contradictory        it took money, but not what was asked for: only a person can tell
    Unknown              no answer, or none that says anything about the charge

Only the first three settle an operation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

REJECTED = "gateway_rejected"


class Fault(StrEnum):
    """Why an answer says nothing about the charge."""

    # No answer before the deadline.
    NO_ANSWER = "no_answer"
    # No connection, or one that broke.
    UNREACHABLE = "unreachable"
    # The gateway reports an internal error: 5xx.
    SERVER_ERROR = "server_error"
    # A wrong address or login, or a redirect: 401, 403, 404. That is between us and the gateway, not about a payment.
    NOT_SERVED = "not_served"
    # An answer that cannot be read, or is about another charge.
    UNREADABLE = "unreadable"
    # Our own code broke.
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The gateway did it; `gateway_id` is its proof. `expires_at` is when the hold of an authorization ends."""

    gateway_id: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PartlyApproved:
    """The gateway took `approved_minor`, in the payment's currency, which is less than was asked for."""

    gateway_id: str
    approved_minor: int


@dataclass(frozen=True, slots=True)
class Declined:
    """The gateway declined the operation for good. `gateway_code` is its own code, safe to store and to show."""

    failure_code: str
    message: str
    gateway_code: str | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """The gateway has the operation and has not decided yet. That may take days and is no failure."""

    gateway_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The gateway refuses to repeat the request (409, 423, 425): the first one may still be at work.

    `not_found`: asked afterwards, the gateway knows of no such charge yet.
    """

    error: str
    not_found: bool = False


@dataclass(frozen=True, slots=True)
class NotFound:
    """The gateway, asked for our reference, knows of no such charge."""


@dataclass(frozen=True, slots=True)
class RateLimited:
    """The gateway takes no more requests now (429). This call charged nothing.

    `retry_after_seconds` is what the gateway asks for, at most a day; None if it does not say.
    """

    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """The gateway does not accept the request (400, 402, 422) and gives no decline code.

    To a first request this means that nothing was charged. To a repeated one it may mean that the first is at work.
    """

    error: str
    gateway_code: str | None = None


@dataclass(frozen=True, slots=True)
class Contradictory:
    """The gateway took money for our reference, but more than was asked for, in another currency, or unnamed."""

    error: str
    gateway_id: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It is unknown whether the money moved.

    The payment may fail only once `never_arrived` is true: the gateway, asked afterwards, knows of no such charge.
    """

    fault: Fault
    error: str
    never_arrived: bool = False

    @property
    def failure_code(self) -> str:
        """Return the code of the payment's failure, should the charge never have arrived."""
        return "gateway_timeout" if self.fault is Fault.NO_ANSWER else "gateway_error"


LookUpAnswer = Succeeded | PartlyApproved | Declined | Pending | NotFound | RateLimited | Contradictory | Unknown
GatewayAnswer = (
    Succeeded | PartlyApproved | Declined | Pending | UnderWay | RateLimited | RefusedRequest | Contradictory | Unknown
)
# What an attempt ends with, once the charge was looked up where its answer was unclear.
GatewayOutcome = Succeeded | PartlyApproved | Declined | Pending | UnderWay | RateLimited | Contradictory | Unknown


def conclude(answer: GatewayAnswer, found: LookUpAnswer, is_repeated: bool) -> GatewayOutcome:
    """Return what an unclear answer means, given what the gateway knows when it is asked afterwards.

    `is_repeated`: an earlier request for the same charge may be at work. Then a refusal is no decision.
    """
    if isinstance(found, Succeeded | PartlyApproved | Declined | Pending | Contradictory):
        return found
    is_not_found = isinstance(found, NotFound)
    if isinstance(answer, Unknown):
        # At a wrong address everything is unknown, our reference included.
        return replace(answer, never_arrived=is_not_found and answer.fault is not Fault.NOT_SERVED)
    if isinstance(answer, UnderWay):
        return replace(answer, not_found=is_not_found)
    if not isinstance(answer, RefusedRequest):
        return answer
    if is_repeated or not is_not_found:
        return UnderWay(answer.error, is_not_found)
    return Declined(REJECTED, "The gateway does not accept the request.", answer.gateway_code)
