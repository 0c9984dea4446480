"""The pace of calls for a merchant while the gateway limits their rate.

A gateway that answers 429 works. It takes fewer calls than we make, so calls slow down and nothing fails. The pace
begins with the rate that the gateway took, falls with each refusal to the share that was taken, and rises slowly in
between. It is forgotten once no call was refused for a while.

The state lives in the database, so that all environments together keep the pace. A gateway may limit each merchant or
all together: each merchant has a pace, and those that share a limit come to share it, as connections share a network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

# The first pace if the gateway took nothing. Too fast a pace falls at once, too slow a pace takes seconds to rise.
FIRST_CALLS_PER_SECOND = 5.0
CALLS_PER_SECOND_MIN = 0.2
# How much each call that the gateway takes adds: a tenth more in a second.
RISE_PER_CALL = 0.1
FALL_SHARE_MIN = 0.5
# A batch makes its calls within this time, one by one, and leaves the others to later batches.
HORIZON_SECONDS = 1.0
# The pace is forgotten so long after the last refusal.
KEPT_SECONDS = 60.0
# A gateway that takes nothing is tried again after so long, whatever it asks for.
PAUSE_SECONDS_MAX = 300.0
# Between tries of a gateway that takes nothing and says nothing about when it will.
PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How many calls a second to make for a merchant, when the next one may be made, and until when this holds."""

    calls_per_second: float
    next_call_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the gateway took and refused of a merchant's calls in `seconds` of a batch.

    `retry_after_seconds` is the longest wait that the gateway asked for, None if it asked for none.
    """

    taken: int
    refused: int
    seconds: float
    retry_after_seconds: float | None = None


def holds(pace: Pace, now: datetime) -> bool:
    """Tell whether the pace still holds. An end that a wrong clock has written too far ahead does not count."""
    return timedelta(0) < pace.ends_at - now <= timedelta(seconds=2 * (KEPT_SECONDS + PAUSE_SECONDS_MAX))


def plan(pace: Pace, calls: int, now: datetime) -> tuple[list[float], Pace]:
    """Return after how many seconds each of the calls is due, and the pace with those within the horizon taken."""
    first_seconds = min(max((pace.next_call_at - now).total_seconds(), 0.0), PAUSE_SECONDS_MAX)
    due = [first_seconds + number / pace.calls_per_second for number in range(calls)]
    taken = sum(seconds <= HORIZON_SECONDS for seconds in due)
    next_seconds = first_seconds + taken / pace.calls_per_second
    return due, replace(pace, next_call_at=now + timedelta(seconds=next_seconds)) if taken else pace


def turn_seconds(pace: Pace, turn: int, retry_after_seconds: float | None, now: datetime) -> float:
    """Return after how many seconds to make a refused call again, as the call number `turn` (from 0) of its batch."""
    next_seconds = max((pace.next_call_at - now).total_seconds(), 0.0)
    wish_seconds = PAUSE_SECONDS if retry_after_seconds is None else retry_after_seconds
    return max(next_seconds + turn / pace.calls_per_second, wish_seconds)


def after_answers(pace: Pace | None, answers: Refusals, now: datetime) -> Pace | None:
    """Return the pace after a batch's answers; None means no limit."""
    if pace is not None and not holds(pace, now):
        pace = None
    if not answers.refused:
        if pace is None:
            return None
        return replace(pace, calls_per_second=pace.calls_per_second + RISE_PER_CALL * answers.taken)
    if pace is None:
        rate = first_rate(answers.taken, answers.seconds)
        next_call_at = now
    else:
        share = answers.taken / (answers.taken + answers.refused)
        rate = max(pace.calls_per_second * max(share, FALL_SHARE_MIN), CALLS_PER_SECOND_MIN)
        next_call_at = pace.next_call_at
    pause = timedelta(seconds=_pause_seconds(answers))
    return Pace(rate, max(next_call_at, now + pause), now + pause + timedelta(seconds=KEPT_SECONDS))


def first_rate(taken: int, seconds: float) -> float:
    """Return the calls a second to begin with, after the gateway took so many in `seconds`."""
    return max(taken / max(seconds, 1.0), FIRST_CALLS_PER_SECOND)


def _pause_seconds(answers: Refusals) -> float:
    """Return for how long to make no call: a gateway that takes some of them only limits their rate."""
    if answers.taken:
        return 0.0
    wish_seconds = PAUSE_SECONDS if answers.retry_after_seconds is None else answers.retry_after_seconds
    return min(wish_seconds, PAUSE_SECONDS_MAX)
