"""What is compared, and what it comes to: the sums of the sides, and the breaks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from paybridge.payments.domain.recorded import OurOperation
from paybridge.payments.domain.statement import StatementLine
from paybridge.reconciliation.domain.breaks import Break, Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLine:
    """A line of the statement. `is_of_day` is false within the grace window around the day.

    `was_asked`: when this pass read the line, we did not know the outcome, and asked the gateway for it.
    """

    line: StatementLine
    is_of_day: bool = True
    was_asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationGroup:
    """Everything about one operation id: the lines, our operations, and what the ledger posted.

    `posted` says per currency by how much the ledger's account of what the gateway owes us has grown; None if the
    ledger has no journal for the operation. `lines_of_others` are lines of other operations that ours claim by the
    gateway's own id. The lines of `on_other_days` are compared on another day, so only the ledger is asked about them
    here. Those of `elsewhere` were made at another gateway, and no line of this one is theirs. `archived_month`: the
    operation may be in the archive, with that month.
    """

    key: UUID | None
    lines: Sequence[DayLine] = ()
    ours: Sequence[OurOperation] = ()
    posted: Mapping[str, int] | None = None
    lines_of_others: Sequence[StatementLine] = ()
    on_other_days: Sequence[OurOperation] = ()
    elsewhere: Sequence[OurOperation] = ()
    archived_month: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedDay:
    """The day that is compared, from `begin` on and before `end`, and what counts as on its way at `as_of`.

    What the gateway has done within `grace` before `as_of` may not be recorded yet, and what we have recorded since may
    not be posted yet. An outcome that is unknown for `late_after` is late.
    """

    begin: datetime
    end: datetime
    as_of: datetime
    grace: timedelta
    late_after: timedelta
    with_ledger: bool = True


@dataclass(slots=True)
class Comparison:
    """What comparing groups of operations found: breaks, and per currency the totals of the three sides.

    `payments_posted` is what the ledger should have for the same operations. `on_the_way` counts what was left out of
    all totals, because one side has not recorded it yet, and `left_out` is what the gateway's lines of it add up to.
    `pending` counts those that have no outcome yet on a side. `matched` counts the other ones without a break.
    """

    breaks: list[Break] = field(default_factory=list)
    gateway: Counter[str] = field(default_factory=Counter)
    payments: Counter[str] = field(default_factory=Counter)
    payments_posted: Counter[str] = field(default_factory=Counter)
    ledger: Counter[str] = field(default_factory=Counter)
    matched: int = 0
    on_the_way: int = 0
    pending: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def difference(comparison: Comparison, leg: Leg | None = None) -> dict[str, int]:
    """Return per currency what the gateway says more than our payments, and our payments more than the ledger.

    Without a leg it is both together: what the gateway says more than the books. Currencies without one are left out.
    """
    found: Counter[str] = Counter()
    if leg is not Leg.LEDGER:
        found.update(comparison.gateway)
        found.subtract(comparison.payments)
    if leg is not Leg.GATEWAY:
        found.update(comparison.payments_posted)
        found.subtract(comparison.ledger)
    return {currency: minor for currency, minor in sorted(found.items()) if minor}


def unexplained(differences: Mapping[str, int], breaks: Iterable[Break]) -> dict[str, int]:
    """Return per currency the part of the differences that no break explains. It must be empty."""
    left: Counter[str] = Counter(differences)
    for each in breaks:
        left.subtract(each.effects)
    return {currency: minor for currency, minor in sorted(left.items()) if minor}
