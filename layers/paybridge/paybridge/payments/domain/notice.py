"""A gateway's notice that something happened there, and what follows from it.

A notice is a reason to ask the gateway, and no proof of anything. It may come twice, late, in any order, and before our
own record of the call that it is about.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from paybridge.core.errors import PaybridgeError
from paybridge.payments.domain.operation import OPEN_STATUSES, UNSETTLED_STATUSES, Kind, OperationStatus

# A notice signed longer ago, or this far in the future, is refused: it may be a recording.
NOTICE_AGE_SECONDS_MAX = 300
# Until our own record of the call is there. The job looks once a minute.
WAIT_SECONDS = 15.0
# By then every call that was under way has been recorded or has been taken up again by the sweep.
WAITS_SECONDS_MAX = 3600.0
# Between two looks for something whose month is archived. It comes back when an operator restores the month.
ARCHIVED_SECONDS = 3600.0

# The answer to the call that is under way is not recorded yet.
_UNDER_WAY = UNSETTLED_STATUSES - OPEN_STATUSES
# The gateway may do these although they were given up.
_GIVEN_UP = frozenset({Kind.CHARGE, Kind.AUTHORIZATION, Kind.REFUND})


class NoticeRefused(PaybridgeError):
    """The notice does not come from the gateway, or is too old; the message says which."""


class NoticeMalformed(PaybridgeError):
    """The notice is signed by the gateway and cannot be read."""


class Claim(StrEnum):
    """What a notice says of its operation."""

    DONE = "done"
    # Declined, canceled or taken back.
    FAILED = "failed"
    OTHER = "other"


class NoticeOutcome(StrEnum):
    """What a notice led to."""

    # Our record of the operation is not there yet.
    WAITING = "waiting"
    # The month of what it names has left the database. It is looked at again until the month is back.
    ARCHIVED = "archived"
    # The gateway is asked about an operation.
    ASKED = "asked"
    # It says what is recorded already.
    KNOWN = "known"
    # It names no operation of ours.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class GatewayNotice:
    """A notice whose signature was verified.

    `id` is the gateway's own, the same when it sends the notice again. `operation_id` is the operation that it names,
    None if it is about something that is none of ours. For a charge or an authorization that is the payment's id.
    """

    id: str
    type: str
    operation_id: UUID | None
    claim: Claim


@dataclass(frozen=True, slots=True)
class AskNow:
    """Ask the gateway about an open operation: go on with its attempt `number` as `ask`."""

    number: int
    ask: int


@dataclass(frozen=True, slots=True)
class LookAgainNow:
    """Ask the gateway whether an operation that had ended is still as it was."""


@dataclass(frozen=True, slots=True)
class WaitForRecord:
    """Our record of the operation, or of its call, is not there yet."""


@dataclass(frozen=True, slots=True)
class NothingNew:
    """The notice says what is recorded already."""


NoticeStep = AskNow | LookAgainNow | WaitForRecord | NothingNew


def after_notice(claim: Claim, kind: Kind, status: OperationStatus, number: int, asks: int) -> NoticeStep:
    """Decide what a notice about an operation leads to, given the operation's newest attempt and number of asks."""
    if status in _UNDER_WAY:
        return WaitForRecord()
    if status in OPEN_STATUSES:
        return AskNow(number, asks + 1)
    if status is OperationStatus.DECLINED and kind in _GIVEN_UP:
        return NothingNew() if claim is Claim.FAILED else LookAgainNow()
    if status is OperationStatus.SUCCEEDED and kind is Kind.REFUND:
        return NothingNew() if claim is Claim.DONE else LookAgainNow()
    return NothingNew()


def is_recent(signed_at_seconds: int, now: datetime) -> bool:
    """Tell whether a notice with this Unix time was signed within NOTICE_AGE_SECONDS_MAX of now."""
    return abs(now.timestamp() - signed_at_seconds) <= NOTICE_AGE_SECONDS_MAX
