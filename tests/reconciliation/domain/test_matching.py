"""Random days with planted breaks: exactly those are found, and they explain the difference to the minor unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine
from paybridge.reconciliation.domain.breaks import Break, BreakType, Direction, Leg
from paybridge.reconciliation.domain.comparison import (
    ComparedDay,
    Comparison,
    DayLine,
    OperationGroup,
    difference,
    unexplained,
)
from paybridge.reconciliation.domain.matching import compare

DAY = datetime(2026, 11, 28, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
END = DAY + timedelta(days=1)
PERIOD = ComparedDay(
    begin=DAY, end=END, as_of=END + timedelta(hours=6), grace=timedelta(minutes=15), late_after=timedelta(hours=4)
)
CURRENCIES = ("EUR", "JPY", "KWD")
MERCHANT = UUID(int=77)
MONEY = (Kind.CHARGE, Kind.CAPTURE, Kind.REFUND)

_numbers = count(1)


def new_id() -> UUID:
    return UUID(int=next(_numbers))


@dataclass
class Case:
    """One operation with its two other sides, and the breaks that were planted in it."""

    ours: list[OurOperation]
    lines: list[DayLine]
    posted: dict[str, int] | None
    key: UUID
    lines_of_others: list[StatementLine] = field(default_factory=list)
    on_other_days: list[OurOperation] = field(default_factory=list)
    elsewhere: list[OurOperation] = field(default_factory=list)
    planted: list[tuple[Leg, BreakType]] = field(default_factory=list)

    @property
    def own(self) -> OurOperation:
        return self.ours[0]

    @property
    def line(self) -> StatementLine:
        return self.lines[0].line

    def plant(self, type_: BreakType, leg: Leg = Leg.GATEWAY) -> None:
        self.planted.append((leg, type_))

    def change_own(self, **changes: object) -> None:
        self.ours[0] = replace(self.ours[0], **changes)  # type: ignore[arg-type]

    def change_line(self, **changes: object) -> None:
        self.lines[0] = replace(self.lines[0], line=replace(self.line, **changes))  # type: ignore[arg-type]

    def group(self) -> OperationGroup:
        return OperationGroup(
            key=self.key,
            lines=self.lines,
            ours=self.ours,
            posted=self.posted,
            lines_of_others=self.lines_of_others,
            on_other_days=self.on_other_days,
            elsewhere=self.elsewhere,
        )


def clean(kind: Kind, amount_minor: int, currency: str, at: datetime = NOON) -> Case:
    id_ = new_id()
    own = OurOperation(
        id=id_,
        key=id_,
        payment_id=new_id(),
        merchant_id=MERCHANT,
        gateway="default",
        kind=kind,
        status=OurStatus.DONE,
        status_text="succeeded",
        amount_minor=amount_minor,
        currency=currency,
        gateway_id=f"gw_{id_.int}",
        created_at=at,
        ended_at=at + timedelta(seconds=1),
    )
    line = StatementLine(
        id=f"gw_{id_.int}",
        operation_id=id_,
        kind=kind,
        amount_minor=amount_minor,
        currency=currency,
        status=LineStatus.SUCCEEDED,
        at=at,
    )
    return Case([own], [DayLine(line=line)], {currency: SIGNS[kind] * amount_minor}, id_)


def settle_nothing(case: Case) -> None:
    """Our side knows no outcome, so the ledger has nothing."""
    case.change_own(status=OurStatus.UNSETTLED, status_text="unknown", gateway_id=None, ended_at=None)
    case.posted = None


def missing_at_gateway(case: Case) -> None:
    case.lines = []
    case.plant(BreakType.MISSING_AT_GATEWAY)


def missing_here(case: Case) -> None:
    case.ours, case.posted = [], None
    case.plant(BreakType.MISSING_HERE)


def nameless_at_gateway(case: Case) -> None:
    missing_here(case)
    case.change_line(operation_id=None)


def known_at_another_gateway(case: Case) -> None:
    """An equal id at another gateway is no match: the money was taken there as well."""
    case.elsewhere = [replace(case.own, gateway="other")]
    missing_here(case)


def over(case: Case) -> None:
    case.change_line(amount_minor=case.line.amount_minor + 1)
    case.plant(BreakType.AMOUNT_MISMATCH)


def under(case: Case) -> None:
    case.change_line(amount_minor=case.line.amount_minor - 1)
    case.plant(BreakType.AMOUNT_MISMATCH)


def other_currency(case: Case) -> None:
    other = CURRENCIES[(CURRENCIES.index(case.line.currency) + 1) % len(CURRENCIES)]
    case.change_line(currency=other)
    case.plant(BreakType.CURRENCY_MISMATCH)


def declined_there(case: Case) -> None:
    case.change_line(status=LineStatus.DECLINED)
    case.plant(BreakType.STATUS_MISMATCH)


def pending_there(case: Case) -> None:
    case.change_line(status=LineStatus.PENDING)
    case.plant(BreakType.STATUS_MISMATCH)


def declined_here(case: Case) -> None:
    case.change_own(status=OurStatus.FAILED, status_text="declined", gateway_id=None)
    case.posted = None
    case.plant(BreakType.STATUS_MISMATCH)


def unknown_here(case: Case) -> None:
    settle_nothing(case)
    case.plant(BreakType.STATUS_MISMATCH)


def other_kind(case: Case) -> None:
    case.change_line(kind=Kind.CAPTURE if case.line.kind is Kind.REFUND else Kind.REFUND)
    case.plant(BreakType.STATUS_MISMATCH)


def twice_there(case: Case) -> None:
    again = replace(case.line, id=f"{case.line.id}_again", at=case.line.at - timedelta(seconds=5))
    case.lines.append(DayLine(line=again))
    case.plant(BreakType.DUPLICATE_AT_GATEWAY)


def same_row_twice(case: Case) -> None:
    case.lines.append(replace(case.lines[0]))
    case.plant(BreakType.DUPLICATE_AT_GATEWAY)


def twice_here(case: Case) -> None:
    """Another operation of ours says that it is the same gateway action, under the same key."""
    second = replace(case.own, id=new_id())
    case.ours.append(second)
    case.posted = {case.own.currency: 2 * case.own.signed_minor}
    case.plant(BreakType.DUPLICATE_HERE)


def claimed_here(case: Case) -> None:
    """Our operation has no line, and names that of another operation."""
    case.lines_of_others = [replace(case.line, operation_id=new_id())]
    case.lines = []
    case.plant(BreakType.DUPLICATE_HERE)


def late(case: Case) -> None:
    settle_nothing(case)
    case.lines = []
    case.plant(BreakType.LATE)


def late_and_pending(case: Case) -> None:
    settle_nothing(case)
    case.change_line(status=LineStatus.PENDING)
    case.plant(BreakType.LATE)


def asked(case: Case) -> None:
    case.lines[0] = replace(case.lines[0], was_asked=True)
    case.plant(BreakType.UNKNOWN_RESOLVED)


AT_THE_GATEWAY: dict[str, Callable[[Case], None]] = {
    each.__name__: each
    for each in (
        missing_at_gateway,
        missing_here,
        nameless_at_gateway,
        known_at_another_gateway,
        over,
        under,
        other_currency,
        declined_there,
        pending_there,
        declined_here,
        unknown_here,
        other_kind,
        twice_there,
        same_row_twice,
        twice_here,
        claimed_here,
        late,
        late_and_pending,
        asked,
    )
}


# --- no break, though it looks like one


def agreed(case: Case) -> None:
    """Leave it as it is."""


def ended_in_the_day_before(case: Case) -> None:
    """The gateway's time decides."""
    case.change_own(ended_at=DAY - timedelta(seconds=1))


def ended_after_midnight(case: Case) -> None:
    case.change_own(ended_at=END + timedelta(seconds=2))


def of_the_next_day(case: Case) -> None:
    """It ended before midnight with us, and after it at the gateway, whose clock is ahead."""
    case.change_own(ended_at=END - timedelta(seconds=1))
    case.change_line(at=END + timedelta(seconds=1))
    case.lines[0] = replace(case.lines[0], is_of_day=False)


def declined_on_both_sides(case: Case) -> None:
    case.change_own(status=OurStatus.FAILED, status_text="declined", gateway_id=None)
    case.change_line(status=LineStatus.DECLINED)
    case.posted = None


def open_and_young(case: Case) -> None:
    settle_nothing(case)
    case.change_own(created_at=PERIOD.as_of - timedelta(hours=1))
    case.lines = []


def just_done(case: Case) -> None:
    settle_nothing(case)
    case.change_line(at=PERIOD.as_of - timedelta(minutes=1))


def taken_back(case: Case) -> None:
    """A refund that succeeded and was taken back has two lines, and nothing stays of it."""
    amount_minor = case.own.amount_minor
    case.change_own(kind=Kind.REFUND, status_text="reversed")
    case.change_line(kind=Kind.REFUND)
    reversal = replace(case.own, id=new_id(), kind=Kind.REFUND_REVERSAL, status_text="succeeded")
    case.ours.append(reversal)
    line = replace(case.line, id=f"rr_{case.key.int}", kind=Kind.REFUND_REVERSAL)
    case.lines.append(DayLine(line=line))
    assert amount_minor == reversal.amount_minor
    case.posted = {case.own.currency: 0}


def declined_there_and_taken_back_here(case: Case) -> None:
    """Some gateways show a refund that they took back as declined, and no reversal."""
    case.change_own(kind=Kind.REFUND, status_text="reversed")
    case.change_line(kind=Kind.REFUND, status=LineStatus.DECLINED)
    case.ours.append(replace(case.own, id=new_id(), kind=Kind.REFUND_REVERSAL, status_text="succeeded"))
    case.posted = {case.own.currency: 0}


def refunded_on_another_day(case: Case) -> None:
    """The reversal is of this day, and the refund with the same id was compared on its own."""
    case.change_own(kind=Kind.REFUND, status_text="reversed")
    case.on_other_days = [case.own]
    case.change_own(id=new_id(), kind=Kind.REFUND_REVERSAL, status_text="succeeded")
    case.change_line(kind=Kind.REFUND_REVERSAL)
    case.posted = {case.own.currency: 0}


def charged_late_twice(case: Case) -> None:
    """Both charges of the payment are recorded under its id, each with its line."""
    case.change_own(kind=Kind.CHARGE, status_text="charged_late")
    case.change_line(kind=Kind.CHARGE)
    second = replace(case.line, id=f"{case.line.id}_again", at=case.line.at + timedelta(seconds=5))
    case.lines.append(DayLine(line=second))
    case.ours.append(replace(case.own, gateway_id=second.id))
    case.posted = {case.own.currency: 2 * case.own.signed_minor}


def declined_before_it_succeeded(case: Case) -> None:
    """The first try was declined, and has a line as well."""
    first = replace(case.line, id=f"{case.line.id}_first", status=LineStatus.DECLINED, at=NOON - timedelta(hours=1))
    case.lines.insert(1, DayLine(line=first))


def pending_on_both_sides(case: Case) -> None:
    settle_nothing(case)
    case.change_own(created_at=PERIOD.as_of - timedelta(hours=1))
    case.change_line(status=LineStatus.PENDING)


CLEAN: dict[str, Callable[[Case], None]] = {
    each.__name__: each
    for each in (
        agreed,
        ended_in_the_day_before,
        ended_after_midnight,
        of_the_next_day,
        declined_on_both_sides,
        open_and_young,
        just_done,
        taken_back,
        declined_there_and_taken_back_here,
        refunded_on_another_day,
        charged_late_twice,
        declined_before_it_succeeded,
        pending_on_both_sides,
    )
}


# --- the ledger


def unposted(case: Case) -> None:
    case.posted = None
    case.plant(BreakType.MISSING_IN_LEDGER, Leg.LEDGER)


def posted_too_much(case: Case) -> None:
    assert case.posted is not None
    case.posted = {currency: minor + (1 if minor > 0 else -1) for currency, minor in case.posted.items()}
    case.plant(BreakType.AMOUNT_MISMATCH, Leg.LEDGER)


def posted_in_another_currency(case: Case) -> None:
    assert case.posted is not None
    other = CURRENCIES[(CURRENCIES.index(case.own.currency) + 2) % len(CURRENCIES)]
    case.posted = {other: sum(case.posted.values())}
    case.plant(BreakType.CURRENCY_MISMATCH, Leg.LEDGER)


IN_THE_LEDGER: dict[str, Callable[[Case], None]] = {
    each.__name__: each for each in (agreed, unposted, posted_too_much, posted_in_another_currency)
}
# With these the operation is posted, and counts for the day.
WITH_LEDGER = [
    *(over, under, other_currency, declined_there, pending_there, other_kind, twice_there, same_row_twice),
    *(asked, missing_at_gateway, claimed_here, agreed, ended_in_the_day_before, ended_after_midnight),
]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    case = clean(
        draw(st.sampled_from(MONEY)), draw(st.integers(2, 999_999_999_999_999)), draw(st.sampled_from(CURRENCIES))
    )
    plant = draw(st.sampled_from([*AT_THE_GATEWAY.values(), *CLEAN.values()]))
    plant(case)
    if plant in WITH_LEDGER:
        IN_THE_LEDGER[draw(st.sampled_from(list(IN_THE_LEDGER)))](case)
    return case


def found_types(comparison: Comparison) -> Counter[tuple[Leg, BreakType]]:
    return Counter((each.leg, each.type) for each in comparison.breaks)


def run(made: Sequence[Case]) -> Comparison:
    return compare([case.group() for case in made], PERIOD)


@given(st.lists(cases(), max_size=40))
def test_exactly_the_planted_breaks_are_found_and_nothing_is_left_unexplained(made: list[Case]) -> None:
    comparison = run(made)
    assert found_types(comparison) == Counter(each for case in made for each in case.planted)
    assert unexplained(difference(comparison), comparison.breaks) == {}
    # Each leg is explained without the other.
    for leg in Leg:
        of_leg = [each for each in comparison.breaks if each.leg is leg]
        assert unexplained(difference(comparison, leg), of_leg) == {}


@given(st.lists(cases(), max_size=30), st.data())
def test_slices_add_up_to_the_whole(made: list[Case], data: st.DataObject) -> None:
    whole = run(made)
    cut = data.draw(st.integers(0, len(made)))
    parts = [run(made[:cut]), run(made[cut:])]
    breaks = [each for part in parts for each in part.breaks]
    assert breaks == whole.breaks
    summed: Counter[str] = Counter()
    for part in parts:
        summed.update(difference(part))
    assert {currency: minor for currency, minor in summed.items() if minor} == difference(whole)


@given(st.lists(cases(), max_size=20))
def test_the_difference_is_what_the_sides_themselves_add_up_to(made: list[Case]) -> None:
    """The totals are those of the day's lines, but for what is on its way."""
    comparison = run(made)
    lines: Counter[str] = Counter()
    for case in made:
        if case.planted or case.ours[0].status is not OurStatus.UNSETTLED:
            for each in case.lines:
                lines[each.line.currency] += each.line.signed_minor if each.is_of_day else 0
    assert Counter(comparison.gateway) == lines


@pytest.mark.parametrize("name", AT_THE_GATEWAY)
@pytest.mark.parametrize("kind", MONEY)
def test_each_break_alone(name: str, kind: Kind) -> None:
    case = clean(kind, 10_000, "EUR")
    AT_THE_GATEWAY[name](case)
    comparison = run([case])
    assert found_types(comparison) == Counter(case.planted)
    assert unexplained(difference(comparison), comparison.breaks) == {}


@pytest.mark.parametrize("name", CLEAN)
def test_no_break(name: str) -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    CLEAN[name](case)
    comparison = run([case])
    assert comparison.breaks == []
    assert difference(comparison) == {}


def test_over_and_under_say_what_the_gateway_has() -> None:
    more, less = clean(Kind.CHARGE, 10_000, "EUR"), clean(Kind.REFUND, 10_000, "EUR")
    over(more)
    under(less)
    found = run([more, less]).breaks
    assert [(each.direction, dict(each.effects)) for each in found] == [
        (Direction.OVER, {"EUR": 1}),
        # A cent less was given back, so the gateway owes us a cent more.
        (Direction.UNDER, {"EUR": 1}),
    ]


def test_another_currency_explains_both_currencies() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    other_currency(case)
    (found,) = run([case]).breaks
    assert dict(found.effects) == {"JPY": 10_000, "EUR": -10_000}


def test_what_is_on_its_way_is_counted_apart() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    just_done(case)
    comparison = run([case])
    assert (comparison.on_the_way, comparison.matched, difference(comparison)) == (1, 0, {})


@pytest.mark.parametrize("known", [OurStatus.UNSETTLED, OurStatus.FAILED])
def test_what_the_gateway_has_not_decided_is_counted_as_pending(known: OurStatus) -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    pending_on_both_sides(case)
    case.change_own(status=known)
    comparison = run([case])
    assert (comparison.pending, comparison.matched, comparison.breaks) == (1, 0, [])


def test_what_was_declined_after_it_was_asked_about_is_resolved() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    declined_on_both_sides(case)
    case.lines[0] = replace(case.lines[0], was_asked=True)
    (found,) = run([case]).breaks
    assert (found.type, found.is_settled, dict(found.effects)) == (BreakType.UNKNOWN_RESOLVED, True, {})


def test_a_charge_at_another_gateway_names_the_payment_and_the_gateway() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    payment_id = case.own.payment_id
    known_at_another_gateway(case)
    (found,) = run([case]).breaks
    assert (found.payment_id, found.merchant_id, found.payments) == (payment_id, MERCHANT, None)
    assert found.note == "we know it at the gateway other"


def test_two_late_charges_without_lines_are_missing_each() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    charged_late_twice(case)
    case.lines = []
    found = run([case]).breaks
    assert [(each.type, dict(each.effects)) for each in found] == [
        (BreakType.MISSING_AT_GATEWAY, {"EUR": -10_000}),
        (BreakType.MISSING_AT_GATEWAY, {"EUR": -10_000}),
    ]


def test_what_was_just_recorded_may_not_be_posted_yet() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    case.change_own(ended_at=PERIOD.as_of - timedelta(seconds=5))
    case.posted = None
    comparison = run([case])
    assert (comparison.on_the_way, comparison.breaks) == (1, [])


def test_a_hold_moves_no_money_and_is_compared_all_the_same() -> None:
    case = clean(Kind.AUTHORIZATION, 10_000, "EUR")
    case.posted = None
    over(case)
    (found,) = run([case]).breaks
    assert (found.type, dict(found.effects)) == (BreakType.AMOUNT_MISMATCH, {})


def test_the_void_of_a_hold_that_was_over_has_no_line() -> None:
    case = clean(Kind.VOID, 10_000, "EUR")
    case.change_own(is_by_look_up=True)
    case.lines, case.posted = [], None
    assert run([case]).breaks == []
    case.change_own(is_by_look_up=False)
    assert [each.type for each in run([case]).breaks] == [BreakType.MISSING_AT_GATEWAY]


def test_a_break_is_the_same_whenever_it_is_found() -> None:
    case = clean(Kind.CHARGE, 10_000, "EUR")
    twice_there(case)
    case.lines.append(replace(case.lines[1], line=replace(case.lines[1].line, id="a_third")))
    first, again = run([case]).breaks, run([case]).breaks
    assert [each.identity for each in first] == [each.identity for each in again]
    assert len({each.identity for each in first}) == 2


def test_a_wrong_sum_is_unexplained() -> None:
    found = Break(type=BreakType.MISSING_HERE, effects={"EUR": 5})
    assert unexplained({"EUR": 7, "JPY": 1}, [found]) == {"EUR": 2, "JPY": 1}
