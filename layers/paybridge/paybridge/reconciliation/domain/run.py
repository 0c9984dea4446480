"""A reconciliation: the comparison of one day, worked on in slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from paybridge.core.money import format_places, stored_places
from paybridge.core.times import format_time
from paybridge.reconciliation.domain.comparison import ComparedDay, Comparison, difference

# Below every id.
NO_ID = UUID(int=0)
_DAY = timedelta(days=1)
# A gateway that gives no statement for so long fails the run. A statement may be imported in its place.
UNAVAILABLE_MAX = timedelta(hours=6)
RETRY_AFTER = timedelta(seconds=30)
# How long a line waits for what the gateway is asked. What is not settled by then is a break, until it is.
SETTLE_MAX = timedelta(seconds=60)

SIDES = ("gateway", "payments", "payments_posted", "ledger", "left_out")


class RunState(StrEnum):
    """The state of a reconciliation."""

    RUNNING = "running"
    FINISHED = "finished"
    # The difference is not the sum of the breaks, or there was no statement. Both need a person.
    FAILED = "failed"


class RunPhase(StrEnum):
    """What is done at each gateway, in this order; `close` once after the last."""

    # Read the gateway's statement.
    STATEMENT = "statement"
    # Compare every line with our operation and with the ledger.
    LINES = "lines"
    # Look for operations of ours without a line.
    OURS = "ours"
    # Compare the lines about which the gateway had to be asked.
    SETTLE = "settle"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A reconciliation and its progress; `totals` are per side and currency, in minor units.

    `pass_` counts how often the day was reconciled. `began_at` is when this pass began: the day ends there if it is
    not over. `place` says how far the phase is, in its own words.
    """

    id: UUID
    day: date
    state: RunState
    pass_: int
    began_at: datetime
    gateways: tuple[str, ...]
    gateway: int
    phase: RunPhase
    place: Mapping[str, Any]
    totals: Mapping[str, Mapping[str, int]]
    matched: int
    on_the_way: int
    pending: int
    difference: Mapping[str, int] | None
    unexplained: Mapping[str, int] | None
    actor: str
    error: str | None
    retry_at: datetime | None
    failing_since: datetime | None
    created_at: datetime
    finished_at: datetime | None

    @property
    def gateway_name(self) -> str:
        """Return the gateway that the pass is at."""
        return self.gateways[self.gateway]

    def period(self, grace: timedelta, late_after: timedelta, now: datetime, *, with_ledger: bool) -> ComparedDay:
        """Return the day, as far as it had passed when the pass began."""
        begin = datetime.combine(self.day, time(), UTC)
        return ComparedDay(
            begin=begin,
            end=min(begin + _DAY, self.began_at),
            as_of=now,
            grace=grace,
            late_after=late_after,
            with_ledger=with_ledger,
        )

    def statement_range(self, grace: timedelta) -> tuple[datetime, datetime]:
        """Return from when to when the statement is read: the whole day, and the grace window on both sides."""
        begin = datetime.combine(self.day, time(), UTC)
        return begin - grace, begin + _DAY + grace


def new_run(id_: UUID, day: date, gateways: tuple[str, ...], actor: str, now: datetime) -> Run:
    """Return the reconciliation of a day that begins now."""
    return Run(
        id=id_,
        day=day,
        state=RunState.RUNNING,
        pass_=1,
        began_at=now,
        gateways=gateways,
        gateway=0,
        phase=RunPhase.STATEMENT if gateways else RunPhase.CLOSE,
        place={},
        totals={},
        matched=0,
        on_the_way=0,
        pending=0,
        difference=None,
        unexplained=None,
        actor=actor,
        error=None,
        retry_at=None,
        failing_since=None,
        created_at=now,
        finished_at=None,
    )


def again(run: Run, gateways: tuple[str, ...], actor: str, now: datetime) -> Run:
    """Return the next pass over a day that was reconciled before.

    A gateway of an earlier pass stays, also without a configuration: its breaks are not put right by leaving it out.
    """
    kept = tuple(sorted({*run.gateways, *gateways}))
    return replace(new_run(run.id, run.day, kept, actor, now), pass_=run.pass_ + 1, created_at=run.created_at)


def go_on(run: Run, place: Mapping[str, Any]) -> Run:
    """Return the run further on in its phase."""
    return replace(run, place=dict(place), error=None, retry_at=None, failing_since=None)


def next_phase(run: Run) -> Run:
    """Return the run at the beginning of its next phase, or of the next gateway."""
    following = {RunPhase.STATEMENT: RunPhase.LINES, RunPhase.LINES: RunPhase.OURS, RunPhase.OURS: RunPhase.SETTLE}.get(
        run.phase
    )
    run = go_on(run, {})
    if following is not None:
        return replace(run, phase=following)
    if run.gateway + 1 < len(run.gateways):
        return replace(run, gateway=run.gateway + 1, phase=RunPhase.STATEMENT)
    return replace(run, phase=RunPhase.CLOSE)


def add_up(run: Run, comparison: Comparison) -> Run:
    """Return the run with what a slice compared added to its totals."""
    totals = {}
    for side in SIDES:
        sums: Counter[str] = Counter(run.totals.get(side, {}))
        sums.update(getattr(comparison, side))
        totals[side] = dict(sums)
    return replace(
        run,
        totals=totals,
        matched=run.matched + comparison.matched,
        on_the_way=run.on_the_way + comparison.on_the_way,
        pending=run.pending + comparison.pending,
    )


def difference_of(run: Run) -> dict[str, int]:
    """Return per currency what the gateways say more than the books, as the slices added it up."""
    comparison = Comparison()
    for side in SIDES:
        getattr(comparison, side).update(run.totals.get(side, {}))
    return difference(comparison)


def unavailable(run: Run, error: str, now: datetime) -> Run:
    """Return the run that could not read a statement: it tries again, and fails after hours without an answer."""
    since = run.failing_since or now
    if now - since >= UNAVAILABLE_MAX:
        return fail(run, f"No statement of the gateway {run.gateway_name}: {error}.", now)
    shown = f"no statement of the gateway {run.gateway_name}: {error}"
    return replace(run, error=shown, retry_at=now + RETRY_AFTER, failing_since=since)


def fail(run: Run, reason: str, now: datetime) -> Run:
    """Return the run as failed for this reason."""
    return replace(run, state=RunState.FAILED, error=reason, retry_at=None, failing_since=None, finished_at=now)


def close(run: Run, unexplained: Mapping[str, int], now: datetime) -> Run:
    """Return the run as it ended: finished if nothing is left unexplained, else failed."""
    run = replace(run, difference=difference_of(run), unexplained=dict(unexplained))
    if not unexplained:
        return replace(run, state=RunState.FINISHED, error=None, retry_at=None, finished_at=now)
    amounts = ", ".join(f"{text} {currency}" for currency, text in amounts_of(unexplained).items())
    return fail(run, f"The breaks do not explain the difference: {amounts} are left.", now)


@dataclass(frozen=True, slots=True)
class BreakCounts:
    """How many breaks a reconciliation has by their state, and by their type those that are open or explained."""

    by_state: Mapping[str, int] = field(default_factory=dict)
    by_type: Mapping[str, int] = field(default_factory=dict)

    @property
    def standing(self) -> int:
        """Return how many are open or explained."""
        return self.by_state.get("open", 0) + self.by_state.get("explained", 0)


def run_view(run: Run, counts: BreakCounts) -> dict[str, Any]:
    """Return the reconciliation as operators see it, JSON-ready."""
    return {
        "reconciliation_id": str(run.id),
        "date": run.day.isoformat(),
        "state": str(run.state),
        "phase": None if run.state is not RunState.RUNNING else str(run.phase),
        "breaks": counts.standing,
        "difference": amounts_of(run.difference or {}),
        "unexplained": amounts_of(run.unexplained or {}),
        "breaks_by_state": dict(counts.by_state),
        "breaks_by_type": dict(counts.by_type),
        "totals": _totals_view(run),
        "matched": run.matched,
        "on_the_way": run.on_the_way,
        "pending": run.pending,
        "gateways": list(run.gateways),
        "passes": run.pass_,
        "error": run.error,
        "started_by": run.actor,
        "created_at": format_time(run.created_at),
        "began_at": format_time(run.began_at),
        "finished_at": None if run.finished_at is None else format_time(run.finished_at),
    }


def amounts_of(sums: Mapping[str, int]) -> dict[str, str]:
    """Return the sums as decimal strings, by currency."""
    return {currency: format_signed(minor, currency) for currency, minor in sorted(sums.items())}


def format_signed(minor: int, currency: str) -> str:
    """Convert minor units, which may be below zero, to a decimal string."""
    text = format_places(abs(minor), stored_places(currency))
    return f"-{text}" if minor < 0 else text


def _totals_view(run: Run) -> list[dict[str, str]]:
    shown = ("gateway", "payments", "payments_posted", "ledger")
    currencies = sorted({currency for side in shown for currency in run.totals.get(side, {})})
    return [
        {"currency": currency}
        | {side: format_signed(run.totals.get(side, {}).get(currency, 0), currency) for side in shown}
        for currency in currencies
    ]
