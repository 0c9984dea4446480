"""Match the lines of a statement, our operations and the ledger by operation id: a pure function.

Nothing is matched by amount or time. A day's lines are those with the gateway's own time in it. An operation counts
for the day of its line, and for the day in which it ended with us if the gateway has no line for it, within the grace
window around the day either. So an operation of midnight is in one day on both sides.

Every comparison adds to the totals of both sides what it reads, and to the breaks what it makes of it. The difference
of the totals must be the sum of the breaks' effects. If it is not, this code is wrong, and the run fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine
from paybridge.reconciliation.domain.breaks import Break, BreakSide, BreakType, Direction, Leg
from paybridge.reconciliation.domain.comparison import ComparedDay, Comparison, DayLine, OperationGroup

# The status of a refund that the gateway took back.
REVERSED = "reversed"


def compare(groups: Iterable[OperationGroup], period: ComparedDay) -> Comparison:
    """Compare the three sides of these operations."""
    comparison = Comparison()
    for group in groups:
        _compare_group(group, period, comparison)
    return comparison


def _compare_group(group: OperationGroup, period: ComparedDay, into: Comparison) -> None:
    before = len(into.breaks), into.pending
    counted = False
    known = _as_at_gateway(group)
    # The reversal of a refund has the refund's id, and is a gateway action apart.
    for of_reversal in (False, True):
        lines = [each for each in group.lines if (each.line.kind is Kind.REFUND_REVERSAL) is of_reversal]
        ours = [each for each in known if (each.kind is Kind.REFUND_REVERSAL) is of_reversal]
        for action_lines, action_ours in _gateway_actions(lines, ours):
            counted |= _Slot(group, action_lines, action_ours, period, into).compare()
    if counted and period.with_ledger:
        _compare_ledger(group, period, into)
    into.matched += counted and (len(into.breaks), into.pending) == before


def _as_at_gateway(group: OperationGroup) -> Sequence[OurOperation]:
    """Return our operations. A refund that was taken back is a declined one to some gateways, without a reversal."""
    says_declined = all(
        each.line.kind is Kind.REFUND and each.line.status is LineStatus.DECLINED for each in group.lines
    )
    if not group.lines or not says_declined or all(each.status_text != REVERSED for each in group.ours):
        return group.ours
    return [replace(each, status=OurStatus.FAILED) for each in group.ours if each.kind is Kind.REFUND]


def _gateway_actions(
    lines: Sequence[DayLine], ours: Sequence[OurOperation]
) -> Iterator[tuple[Sequence[DayLine], Sequence[OurOperation]]]:
    """Yield what is about one gateway action each: two for a payment that was charged late twice."""
    own, others = _own(ours, lines)
    primary = _primary(lines, own)
    left_lines, left_ours = list(lines), list(ours)
    claimed = {None, None if own is None else own.gateway_id, None if primary is None else primary.line.id}
    for other in others:
        if other.status is OurStatus.DONE and other.gateway_id not in claimed:
            claimed.add(other.gateway_id)
            named = [each for each in left_lines if each.line.id == other.gateway_id][:1]
            for line in named:
                left_lines.remove(line)
            left_ours.remove(other)
            yield named, [other]
    if left_lines or left_ours:
        yield left_lines, left_ours


class _Slot:
    """The lines and our operations that are about one gateway action."""

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
                self._add_missing_here(line.line)
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
        elif own.status is OurStatus.UNSETTLED or line.status is LineStatus.PENDING:
            # What it comes to is compared by a later pass.
            self.into.pending += 1
        elif found.was_asked:
            self._add(BreakType.UNKNOWN_RESOLVED, line, own, is_settled=True)

    def _compare_amounts(self, own: OurOperation, found: DayLine) -> None:
        line = found.line
        if line.currency != own.currency:
            self._add(BreakType.CURRENCY_MISMATCH, line, own)
        # A void releases the whole, whatever amount it names.
        elif line.amount_minor != own.amount_minor and own.kind is not Kind.VOID:
            self._add(BreakType.AMOUNT_MISMATCH, line, own, _direction(line.amount_minor - own.amount_minor))
        elif found.was_asked:
            self._add(BreakType.UNKNOWN_RESOLVED, line, own, is_settled=True)

    def _add_missing_here(self, line: StatementLine) -> None:
        elsewhere = next(iter(self.group.elsewhere), None)
        note = None
        if elsewhere is not None:
            note = f"we know it at the gateway {elsewhere.gateway}"
        elif self.group.archived_month is not None:
            note = f"its month {self.group.archived_month} is archived: restore it and reconcile the day again"
        self._add(BreakType.MISSING_HERE, line, None, about=elsewhere, note=note)

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
    ours = (*group.ours, *group.on_other_days)
    done = [each for each in ours if each.status is OurStatus.DONE and SIGNS[each.kind]]
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
