"""Compare a slice of a day in one transaction, and record what it found.

A line with an outcome that we do not know, or with another one than we had recorded, is not compared at once where the
gateway may still say so: it is asked about the operation as always, and the line waits for what is recorded then.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from paybridge.database.database import Transaction
from paybridge.outbox import store as outbox
from paybridge.payments.ask_about import ask_about
from paybridge.payments.domain.notice import Claim
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.recorded import OurOperation, OurStatus
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine
from paybridge.payments.store import recorded_operations
from paybridge.reconciliation.domain.breaks import BreakState, StoredBreak
from paybridge.reconciliation.domain.comparison import ComparedDay, OperationGroup, unexplained
from paybridge.reconciliation.domain.events import break_found_event
from paybridge.reconciliation.domain.matching import compare
from paybridge.reconciliation.domain.run import (
    NO_ID,
    SETTLE_MAX,
    Run,
    add_up,
    close,
    difference_of,
    fail,
    go_on,
    next_phase,
)
from paybridge.reconciliation.our_side import OurSide, StatementOfDay, find_ours, without_lines
from paybridge.reconciliation.ports import PostedOperation, ReconciliationServices
from paybridge.reconciliation.store import breaks, statements
from paybridge.reconciliation.store.statements import StoredLine, StoredStatement

# Lines or operations of one slice, which takes a fraction of a second.
SLICE = 2000
# Operations that ended in the day may have begun long before it: what was pending for days, and late refunds.
BEGAN_BEFORE = timedelta(days=8)
ACTOR = "reconciliation"
_GONE = "The sides now agree."


def compare_lines(services: ReconciliationServices, transaction: Transaction, run: Run, now: datetime) -> Run:
    """Compare the next lines with our operations and the ledger."""
    statement = _statement(transaction, run)
    key, number = UUID(run.place.get("key", str(NO_ID))), run.place.get("number", 0)
    lines = statements.read(transaction, statement.id, key, number, SLICE)
    if len(lines) < SLICE:
        is_last = True
    else:
        is_last = False
        lines = _whole_groups(transaction, statement.id, lines)
    by_key = _by_key(lines)
    ours = find_ours(transaction, _of_day(run, statement), by_key)
    waiting = _ask(services, transaction, statement.id, by_key, ours, now)
    groups = [_group(key, group, ours.get(key)) for key, group in by_key.items() if key not in waiting]
    run = _record(services, transaction, run, groups, now)
    read = run.place.get("read", 0) + len(lines)
    if not is_last:
        return go_on(run, {"key": str(lines[-1].key), "number": lines[-1].number, "read": read})
    if read != statement.lines:
        return fail(run, f"The statement of {run.gateway_name} has {statement.lines} lines. {read} were compared.", now)
    return next_phase(run)


def compare_ours(services: ReconciliationServices, transaction: Transaction, run: Run, now: datetime) -> Run:
    """Look for operations without a line among the next of ours."""
    statement = _statement(transaction, run)
    period = _period(services, run, now)
    place = run.place.get("after")
    first = recorded_operations.first_id(transaction, period.begin - BEGAN_BEFORE) if place is None else UUID(place)
    found = recorded_operations.scan(
        transaction,
        run.gateway_name,
        first,
        period.begin,
        period.end,
        period.late_after.total_seconds(),
        SLICE,
    )
    if found.last_id is None:
        return next_phase(run)
    ours = without_lines(transaction, _of_day(run, statement), found.ids) if found.ids else []
    claimed = _claimed(transaction, statement.id, ours)
    by_key: defaultdict[UUID, list[OurOperation]] = defaultdict(list)
    for each in ours:
        if statement.has_holds or SIGNS[each.kind]:
            by_key[each.key].append(each)
    groups = [
        OperationGroup(
            key=key,
            ours=group,
            lines_of_others=[line.line.line for each in group for line in claimed.get(each.gateway_id or "", ())],
        )
        for key, group in by_key.items()
    ]
    run = _record(services, transaction, run, groups, now)
    return go_on(run, {"after": str(found.last_id)})


def compare_settled(services: ReconciliationServices, transaction: Transaction, run: Run, now: datetime) -> Run:
    """Compare the lines about which the gateway was asked, once their operations have settled or took too long."""
    statement = _statement(transaction, run)
    after = UUID(run.place.get("key", str(NO_ID)))
    waiting = statements.waiting(transaction, statement.id, after, SLICE)
    if not waiting:
        # Those that were passed by wait still.
        return next_phase(run) if after == NO_ID else go_on(run, {})
    by_key = _by_key(statements.read_keys(transaction, statement.id, waiting))
    ours = find_ours(transaction, _of_day(run, statement), by_key)
    ready = {
        key
        for key, asked_at in waiting.items()
        if now - asked_at >= SETTLE_MAX or not _unclear(by_key[key], ours.get(key))
    }
    groups = [_group(key, by_key[key], ours.get(key)) for key in sorted(ready)]
    run = _record(services, transaction, run, groups, now)
    statements.wait_no_more(transaction, statement.id, ready)
    if len(waiting) == SLICE:
        return go_on(run, {"key": str(max(waiting))})
    return next_phase(run) if after == NO_ID and len(ready) == len(waiting) else go_on(run, {})


def close_pass(_: ReconciliationServices, transaction: Transaction, run: Run, now: datetime) -> Run:
    """Resolve what was not found again, add up, and end the pass."""
    breaks.resolve_gone(transaction, run.id, run.gateways, run.pass_, ACTOR, _GONE, now)
    left = dict(unexplained(difference_of(run), ()))
    for currency, minor in breaks.sum_effects(transaction, run.id, run.pass_).items():
        left[currency] = left.get(currency, 0) - minor
    # The slices must have read every line once: the database adds them up without us.
    for currency, minor in statements.sums(transaction, run.day, run.gateways).items():
        read = sum(run.totals.get(side, {}).get(currency, 0) for side in ("gateway", "left_out"))
        left[currency] = left.get(currency, 0) + minor - read
    return close(run, {currency: minor for currency, minor in sorted(left.items()) if minor}, now)


def _ask(
    services: ReconciliationServices,
    transaction: Transaction,
    statement_id: UUID,
    by_key: Mapping[UUID, Sequence[StoredLine]],
    ours: Mapping[UUID, OurSide],
    now: datetime,
) -> set[UUID]:
    """Ask about outcomes that the gateway knows and we do not; return the operations whose lines wait for it."""
    unclear = {
        key: found
        for key, group in by_key.items()
        if (found := _unclear(group, ours.get(key))) and not any(each.line.was_asked for each in group)
    }
    if not unclear:
        return set()
    claims = {key: _claim(by_key[key], kinds) for key, kinds in unclear.items()}
    waiting = ask_about(services.ids, transaction, claims, now)
    statements.wait(transaction, statement_id, {key: unclear[key] for key in sorted(waiting)}, now)
    return waiting


def _claim(group: Sequence[StoredLine], kinds: Collection[Kind]) -> Claim:
    """Return what the lines of these kinds say of their operation."""
    done = {line.kind for line in _outcomes_of_day(group) if line.status is LineStatus.SUCCEEDED}
    return Claim.DONE if done & set(kinds) - {Kind.REFUND_REVERSAL} else Claim.FAILED


def _unclear(group: Sequence[StoredLine], side: OurSide | None) -> frozenset[Kind]:
    """Return the kinds of the lines that say something new of an operation of ours."""
    known = [] if side is None else [*side.compared, *side.on_other_days]
    return frozenset(line.kind for line in _outcomes_of_day(group) if known and _is_new(line, known))


def _outcomes_of_day(group: Sequence[StoredLine]) -> list[StatementLine]:
    """Return the lines of the day that say an outcome. A try that was declined says none if another one succeeded."""
    lines = [each.line.line for each in group if each.line.is_of_day]
    not_declined = {line.kind for line in lines if line.status is not LineStatus.DECLINED}
    return [
        line
        for line in lines
        if line.status is LineStatus.SUCCEEDED or (line.status is LineStatus.DECLINED and line.kind not in not_declined)
    ]


def _is_new(line: StatementLine, ours: Sequence[OurOperation]) -> bool:
    done = {each.kind for each in ours if each.status is OurStatus.DONE}
    if line.status is LineStatus.DECLINED:
        # A refund may be declined after it had succeeded. Nothing else is.
        unsettled = any(each.status is OurStatus.UNSETTLED and each.kind is line.kind for each in ours)
        return unsettled or (line.kind is Kind.REFUND and Kind.REFUND in done)
    return line.kind not in done if line.kind is Kind.REFUND_REVERSAL else not done - {Kind.REFUND_REVERSAL}


def _record(
    services: ReconciliationServices,
    transaction: Transaction,
    run: Run,
    groups: Sequence[OperationGroup],
    now: datetime,
) -> Run:
    """Compare the groups, record the breaks with an event for each new one, and return the run with the sums."""
    if not groups:
        return run
    comparison = compare(_with_ledger(services, transaction, groups), _period(services, run, now))
    found = [(services.ids.new(), each) for each in comparison.breaks]
    recorded = breaks.record(transaction, run.id, run.gateway_name, run.pass_, found, ACTOR, now)
    events = [
        break_found_event(services.ids.new(), run.day, _stored(run, each, now), each.openings, now)
        for each in recorded
        if each.is_opened and each.found.merchant_id is not None
    ]
    outbox.add(transaction, events)
    return add_up(run, comparison)


def _stored(run: Run, recorded: breaks.RecordedBreak, now: datetime) -> StoredBreak:
    return StoredBreak(
        id=recorded.id,
        reconciliation_id=run.id,
        gateway_name=run.gateway_name,
        found=recorded.found,
        state=BreakState.OPEN,
        resolution=None,
        note=recorded.found.note,
        actor=None,
        found_at=recorded.found_at,
        changed_at=now,
    )


def _with_ledger(
    services: ReconciliationServices, transaction: Transaction, groups: Sequence[OperationGroup]
) -> list[OperationGroup]:
    """Add to each group what the ledger posted for its operation."""
    if services.postings is None:
        return list(groups)
    wanted = [PostedOperation(each.id, each.payment_id) for group in groups for each in _posted_apart(group)]
    posted = services.postings.posted(transaction, wanted) if wanted else {}
    return [replace(group, posted=_sum(posted, _posted_apart(group))) for group in groups]


def _posted_apart(group: OperationGroup) -> list[OurOperation]:
    """Return the operations under whose ids the ledger has journals: what is taken back has those of its refund."""
    return [
        each
        for each in (*group.ours, *group.on_other_days)
        if each.status is OurStatus.DONE and SIGNS[each.kind] and each.kind is not Kind.REFUND_REVERSAL
    ]


def _sum(posted: Mapping[UUID, Mapping[str, int]], operations: Iterable[OurOperation]) -> dict[str, int] | None:
    # Two late charges of one payment are one operation, under whose id both are posted.
    found = {each.id for each in operations} & posted.keys()
    sums: Counter[str] = Counter()
    for id_ in found:
        sums.update(posted[id_])
    return dict(sums) if found else None


def _period(services: ReconciliationServices, run: Run, now: datetime) -> ComparedDay:
    return run.period(services.grace, services.late_after, now, with_ledger=services.postings is not None)


def _statement(transaction: Transaction, run: Run) -> StoredStatement:
    statement = statements.find(transaction, run.gateway_name, run.day)
    assert statement is not None, "the phase before has read it"
    return statement


def _of_day(run: Run, statement: StoredStatement) -> StatementOfDay:
    return StatementOfDay(statement.id, run.gateway_name, run.day - BEGAN_BEFORE)


def _group(key: UUID, lines: Sequence[StoredLine], side: OurSide | None) -> OperationGroup:
    side = side or OurSide()
    return OperationGroup(
        key=_named(key, lines),
        lines=[each.line for each in lines],
        ours=side.compared,
        on_other_days=side.on_other_days,
        elsewhere=side.elsewhere,
        archived_month=side.archived_month,
    )


def _whole_groups(transaction: Transaction, statement_id: UUID, lines: list[StoredLine]) -> list[StoredLine]:
    """Return the lines without the last group, which may go on; if there is no other, return all of that one."""
    last = lines[-1].key
    whole = [each for each in lines if each.key != last]
    if whole:
        return whole
    return sorted(statements.read_keys(transaction, statement_id, [last]), key=lambda each: each.number)


def _by_key(lines: Iterable[StoredLine]) -> dict[UUID, list[StoredLine]]:
    found: defaultdict[UUID, list[StoredLine]] = defaultdict(list)
    for each in lines:
        found[each.key].append(each)
    return dict(found)


def _named(key: UUID, group: Sequence[StoredLine]) -> UUID | None:
    return key if group[0].line.line.operation_id is not None else None


def _claimed(transaction: Transaction, statement_id: UUID, ours: Sequence[OurOperation]) -> dict[str, list[StoredLine]]:
    """Return the lines of other operations that ours claim, by the gateway's id."""
    ids = sorted({each.gateway_id for each in ours if each.gateway_id is not None and each.kind is not Kind.VOID})
    found: defaultdict[str, list[StoredLine]] = defaultdict(list)
    for each in statements.read_ids(transaction, statement_id, ids) if ids else ():
        found[each.line.line.id].append(each)
    return dict(found)
