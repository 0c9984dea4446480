"""Match the lines of a statement, our operations and the ledger by operation id: a pure function.

Nothing is matched by amount or time. A day's lines are those with the gateway's own time in it. An operation counts
for the day of its line, and for the day in which it ended with us if the gateway has no line for it, within the grace
window around the day either. So an operation of midnight is in one day on both sides.

Every comparison adds to the totals of both sides what it reads, and to the breaks what it makes of it. The difference
of the totals must be the sum of the breaks' effects. If it is not, this code is wrong, and the run fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine
from paybridge.reconciliation.domain.breaks import Break, BreakSide, BreakType, Direction, Leg

# The status of a refund that the gateway took back.
REVERSED = "reversed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLine:
    """A line of the statement. `is_of_day` is false within the grace window around the day.

    `was_asked`: when this run read the line, we did not know the outcome, and asked the gateway for it.
    """

    line: StatementLine
    is_of_day: bool = True
    was_asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationGroup:
    """Everything about one operation id: the lines, our operations, and what the ledger posted.

    `posted` says per currency by how much the ledger's account of what the gateway owes us has grown; None if the
    ledger has no journal for the operation. `lines_of_others` are lines of other operations that ours claim by the
    gateway's own id.
    """

    key: UUID | None
    lines: Sequence[DayLine] = ()
    ours: Sequence[OurOperation] = ()
    posted: Mapping[str, int] | None = None
    lines_of_others: Sequence[StatementLine] = ()


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
    `matched` counts the operations without a break.
    """

    breaks: list[Break] = field(default_factory=list)
    gateway: Counter[str] = field(default_factory=Counter)
    payments: Counter[str] = field(default_factory=Counter)
    payments_posted: Counter[str] = field(default_factory=Counter)
    ledger: Counter[str] = field(default_factory=Counter)
    matched: int = 0
    on_the_way: int = 0
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


def compare(groups: Iterable[OperationGroup], period: ComparedDay) -> Comparison:
    """Compare the three sides of these operations."""
    comparison = Comparison()
    for group in groups:
        _compare_group(group, period, comparison)
    return comparison


def _compare_group(group: OperationGroup, period: ComparedDay, into: Comparison) -> None:
    before = len(into.breaks)
    counted = False
    # The reversal of a refund has the refund's id, and is a deed apart.
    for of_reversal in (False, True):
        lines = [each for each in group.lines if (each.line.kind is Kind.REFUND_REVERSAL) is of_reversal]
        ours = [each for each in group.ours if (each.kind is Kind.REFUND_REVERSAL) is of_reversal]
        if lines or ours:
            counted |= _Slot(group, lines, ours, period, into).compare()
    if counted and period.with_ledger:
        _compare_ledger(group, period, into)
    into.matched += counted and len(into.breaks) == before


class _Slot:
    """The lines and our operations that are about one deed."""

    def __init__(
        self,
        group: OperationGroup,
        lines: Sequence[DayLine],
        ours: Sequence[OurOperation],
        period: ComparedDay,
        into: Comparison,
    ) -> None:
        self.group, self.period, self.into = group, period, into
        self.own, self.others = _own(ours, lines)
        self.line = _primary(lines, self.own)
        self.lines = lines

    def compare(self) -> bool:
        """Compare, and return whether something of this day was compared."""
        of_day = [each for each in self.lines if each.is_of_day]
        if self._is_on_the_way():
            self.into.on_the_way += 1
            for each in of_day:
                self.into.left_out[each.line.currency] += each.line.signed_minor
            return False
        for each in of_day:
            self.into.gateway[each.line.currency] += each.line.signed_minor
        counts_here = self._counts_here()
        if counts_here and self.own is not None:
            self.into.payments[self.own.currency] += self.own.signed_minor
        self._compare_pair(counts_here)
        self._find_duplicates(of_day)
        return bool(of_day) or counts_here

    def _is_on_the_way(self) -> bool:
        """Tell whether the gateway has just done what our call has not recorded yet."""
        if self.own is None or self.own.status is not OurStatus.UNSETTLED or self.line is None:
            return False
        is_new = self.line.line.at >= self.period.as_of - self.period.grace
        return is_new and self.line.line.status is LineStatus.SUCCEEDED and len(self.lines) == 1

    def _counts_here(self) -> bool:
        """Tell whether our operation counts for this day: that of its line, else the one in which it ended with us."""
        if self.line is not None:
            return self.line.is_of_day
        return self._ended_here(self.own)

    def _ended_here(self, own: OurOperation | None) -> bool:
        if own is None or own.ended_at is None:
            return False
        return self.period.begin <= own.ended_at < self.period.end

    def _compare_pair(self, counts_here: bool) -> None:
        own, line = self.own, self.line
        if line is None:
            self._compare_without_line(counts_here)
        elif not line.is_of_day:
            return
        elif own is None:
            if line.line.status is not LineStatus.DECLINED:
                self._add(BreakType.MISSING_HERE, line.line, None)
        elif own.kind is not line.line.kind:
            self._add(BreakType.STATUS_MISMATCH, line.line, own, note=f"we know it as a {own.kind}")
        else:
            self._compare_outcomes(own, line)

    def _compare_without_line(self, counts_here: bool) -> None:
        own = self.own
        if own is None:
            return
        if own.status is OurStatus.UNSETTLED:
            # It is late on one day only: that on which it became so.
            if self.period.begin <= own.created_at + self.period.late_after < self.period.end:
                self._add(BreakType.LATE, None, own)
        elif own.status is OurStatus.DONE and counts_here and not own.is_by_look_up:
            claimed = next((each for each in self.group.lines_of_others if each.id == own.gateway_id), None)
            if claimed is None:
                self._add(BreakType.MISSING_AT_GATEWAY, None, own)
            else:
                self._add(BreakType.DUPLICATE_HERE, None, own, note=f"{claimed.id} is about {claimed.operation_id}")

    def _compare_outcomes(self, own: OurOperation, found: DayLine) -> None:
        line = found.line
        if line.status is LineStatus.SUCCEEDED and own.status is OurStatus.DONE:
            self._compare_amounts(own, found)
        elif line.status is LineStatus.SUCCEEDED or own.status is OurStatus.DONE:
            self._add(BreakType.STATUS_MISMATCH, line, own)
        elif own.status is OurStatus.UNSETTLED and self.period.as_of - own.created_at >= self.period.late_after:
            self._add(BreakType.LATE, line, own)

    def _compare_amounts(self, own: OurOperation, found: DayLine) -> None:
        line = found.line
        if line.currency != own.currency:
            self._add(BreakType.CURRENCY_MISMATCH, line, own)
        # A void releases the whole, whatever amount it names.
        elif line.amount_minor != own.amount_minor and own.kind is not Kind.VOID:
            self._add(BreakType.AMOUNT_MISMATCH, line, own, _direction(line.amount_minor - own.amount_minor))
        elif found.was_asked:
            self._add(BreakType.UNKNOWN_RESOLVED, line, own, is_settled=True)

    def _find_duplicates(self, of_day: Sequence[DayLine]) -> None:
        for each in of_day:
            if each is not self.line and each.line.status is LineStatus.SUCCEEDED:
                self._add(BreakType.DUPLICATE_AT_GATEWAY, each.line, None, about=self.own)
        for other in self.others:
            if other.status is OurStatus.DONE and self._ended_here(other):
                self.into.payments[other.currency] += other.signed_minor
                self._add(BreakType.DUPLICATE_HERE, None, other)

    def _add(
        self,
        type_: BreakType,
        line: StatementLine | None,
        own: OurOperation | None,
        direction: Direction | None = None,
        *,
        is_settled: bool = False,
        about: OurOperation | None = None,
        note: str | None = None,
    ) -> None:
        effects: Counter[str] = Counter()
        if line is not None:
            effects[line.currency] += line.signed_minor
        if own is not None:
            effects[own.currency] -= own.signed_minor
        about = own or about
        kind = line.kind if line is not None else own.kind if own is not None else None
        self.into.breaks.append(
            Break(
                type=type_,
                operation_id=self.group.key if own is None else own.id,
                payment_id=None if about is None else about.payment_id,
                merchant_id=None if about is None else about.merchant_id,
                kind=kind,
                gateway=None if line is None else _side_of_line(line),
                payments=None if own is None else _side_of_operation(own),
                direction=direction,
                effects={currency: minor for currency, minor in effects.items() if minor},
                is_settled=is_settled,
                note=note,
            )
        )


def _own(ours: Sequence[OurOperation], lines: Sequence[DayLine]) -> tuple[OurOperation | None, Sequence[OurOperation]]:
    """Return the operation that the lines are about, and those that claim the same."""
    if len(ours) < 2:
        return (ours[0] if ours else None), ()
    named = {each.line.id for each in lines}
    done_first = sorted(
        ours, key=lambda each: (each.status is not OurStatus.DONE, each.gateway_id not in named, each.id)
    )
    return done_first[0], done_first[1:]


def _primary(lines: Sequence[DayLine], own: OurOperation | None) -> DayLine | None:
    """Return the line that our operation is about: the one that it names, else the weightiest and oldest."""
    gateway_id = None if own is None else own.gateway_id
    weights = {LineStatus.SUCCEEDED: 0, LineStatus.PENDING: 1, LineStatus.DECLINED: 2}
    return min(
        lines,
        key=lambda each: (weights[each.line.status], each.line.id != gateway_id, each.line.at, not each.is_of_day),
        default=None,
    )


def _compare_ledger(group: OperationGroup, period: ComparedDay, into: Comparison) -> None:
    """Compare what our operations moved, whenever they did, with what the ledger posted for the same id."""
    done = [each for each in group.ours if each.status is OurStatus.DONE and SIGNS[each.kind]]
    reversals = [each for each in done if each.kind is Kind.REFUND_REVERSAL]
    # The ledger has both under the refund's id, so one without the other is not compared.
    is_half = bool(reversals) != any(each.status_text == REVERSED for each in done)
    if not done or is_half:
        return
    moved: Counter[str] = Counter()
    for each in done:
        moved[each.currency] += each.signed_minor
    posted = Counter(group.posted or {})
    newest = max((each.ended_at for each in done if each.ended_at is not None), default=period.begin)
    if moved != posted and newest >= period.as_of - period.grace:
        into.on_the_way += 1
        return
    into.payments_posted.update(moved)
    into.ledger.update(posted)
    if group.posted is not None and moved == posted:
        return
    into.breaks.append(_ledger_break(group, done[0], moved, posted))


def _ledger_break(group: OperationGroup, own: OurOperation, moved: Counter[str], posted: Counter[str]) -> Break:
    effects = Counter(moved)
    effects.subtract(posted)
    direction = None
    if group.posted is None:
        type_ = BreakType.MISSING_IN_LEDGER
    elif {currency for currency, minor in posted.items() if minor} - set(moved):
        type_ = BreakType.CURRENCY_MISMATCH
    else:
        type_ = BreakType.AMOUNT_MISMATCH
        direction = _direction(abs(posted[own.currency]) - abs(moved[own.currency]))
    side = None
    if group.posted is not None:
        currency = next((each for each, minor in posted.items() if minor), own.currency)
        side = BreakSide(abs(posted[currency]), currency, "posted")
    return Break(
        type=type_,
        leg=Leg.LEDGER,
        operation_id=own.id,
        payment_id=own.payment_id,
        merchant_id=own.merchant_id,
        kind=own.kind,
        payments=_side_of_operation(own),
        ledger=side,
        direction=direction,
        effects={currency: minor for currency, minor in effects.items() if minor},
    )


def _direction(excess: int) -> Direction:
    return Direction.OVER if excess > 0 else Direction.UNDER


def _side_of_line(line: StatementLine) -> BreakSide:
    return BreakSide(line.amount_minor, line.currency, line.status, line.id, line.at)


def _side_of_operation(own: OurOperation) -> BreakSide:
    return BreakSide(own.amount_minor, own.currency, own.status_text, own.gateway_id, own.ended_at)
