"""When an endpoint that fails is disabled: after five days in which nothing else happened.

The clock of the five days starts once two failures are twelve hours apart and nothing has succeeded in between, so
that one bad event, or one bad night, disables nothing. Any success stops it. The rule is that of Svix
(https://docs.svix.com/retries#disabling-failing-endpoints).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

CLOCK_STARTS_AFTER = timedelta(hours=12)
DISABLED_AFTER = timedelta(days=5)
# The parts of the five days after which the merchant is warned.
WARNED_AT_PERCENT = (50, 70, 90)


@dataclass(frozen=True, slots=True)
class FailureClock:
    """How long an endpoint has failed. Without a failure since the last success, everything is empty."""

    first_failure_at: datetime | None = None
    failing_since: datetime | None = None
    warned_percent: int = 0


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """What follows a failure: the clock as it is now, a warning at this percentage, or the end."""

    clock: FailureClock
    warning_percent: int | None = None
    is_disabled: bool = False


def after_failure(clock: FailureClock, now: datetime) -> FailureVerdict:
    """Return what follows an attempt that has failed `now`."""
    first = clock.first_failure_at or now
    since = clock.failing_since
    if since is None and now - first >= CLOCK_STARTS_AFTER:
        since = now
    if since is None:
        return FailureVerdict(FailureClock(first))
    part = (now - since) / DISABLED_AFTER * 100
    if part >= 100:
        return FailureVerdict(FailureClock(first, since, 100), is_disabled=True)
    reached = max((percent for percent in WARNED_AT_PERCENT if percent <= part), default=0)
    warning = reached if reached > clock.warned_percent else None
    return FailureVerdict(FailureClock(first, since, max(reached, clock.warned_percent)), warning)
