"""Reconcile a day: start it, work on it in slices, and read how far it is.

    statement   read the gateway's statement       a page: no transaction while the gateway is asked, then one
    lines       compare its lines                  a slice: one transaction
    ours        look for operations without lines  a slice: one transaction
    settle      compare what had to be asked       a slice: one transaction
    close       add up and compare the sums        one transaction

A process that dies at any line leaves the position of the last slice, and another one goes on there. Two that work on
the same day at once do no slice twice: the second one finds that the position has moved, or the row locked.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from paybridge.core.archived_months import MonthsArchived
from paybridge.core.errors import InvalidInput
from paybridge.database.database import Transaction
from paybridge.payments.domain.statement import StatementPage, StatementUnavailable
from paybridge.reconciliation.compare_slices import (
    BEGAN_BEFORE,
    close_pass,
    compare_lines,
    compare_ours,
    compare_settled,
)
from paybridge.reconciliation.domain.run import (
    NO_ID,
    BreakCounts,
    Run,
    RunPhase,
    RunState,
    again,
    go_on,
    new_run,
    next_phase,
    unavailable,
)
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.store import breaks, runs, statements
from paybridge.reconciliation.store.statements import NewStatement

# How long a request works on a reconciliation before it answers with the progress.
REQUEST_SECONDS_MAX = 1.0
RUNNING_MAX = 100
# Ids begin in 1970, and the first days of the calendar have no grace window before them.
FIRST_DAY = date(1970, 1, 1)
# A deployment that was down for longer does not catch up unasked.
CAUGHT_UP_DAYS_MAX = 7
# A day is compared again each night for so long, while something of it is pending or differs. Gateways settle direct
# debits within five working days, and banks have holidays.
TAKEN_UP_DAYS_MAX = 14
# An alarm needs no exact number above this.
OPEN_BREAKS_MAX = 10_000
# Statements are read again whenever their day is reconciled. These are for late lines and for a look at breaks.
STATEMENTS_KEPT = timedelta(days=90)
LEFTOVER_LINES = 20_000
# Lines of an imported statement of which one transaction forgets that an earlier pass has asked about them.
IMPORTED_LINES = 20_000
NIGHTLY = "nightly"
# A day that failed raises the alarm for so many days, unless it is reconciled again.
FAILED_DAYS = 7


class Progress(Enum):
    """What a step of a reconciliation came to."""

    MOVED = auto()
    # Something outside has to happen first: an answer that was asked for, or a statement.
    WAITS = auto()
    ENDED = auto()
    # Another process works on it.
    BUSY = auto()


class LockedDay(NamedTuple):
    """The reconciliation of a day, which the transaction has locked, and whether that has added it."""

    run: Run
    is_new: bool


def start_reconciliation(services: ReconciliationServices, day: date, actor: str) -> Run:
    """Begin to reconcile a day, or the next pass over it if it was reconciled before.

    One that is running goes on as it is. Raises InvalidInput (`day_invalid`, `time_in_future`), MonthsArchived and
    DatabaseUnavailable.
    """
    check_day(services, day)
    with services.database.transaction() as transaction:
        locked = lock_day(services, transaction, day, actor)
        if locked.run.state is RunState.RUNNING:
            return locked.run
        return compare_from_start(services, transaction, locked, actor)


def check_day(services: ReconciliationServices, day: date) -> None:
    """Raise InvalidInput: `day_invalid` for a day before any payment, `time_in_future` for one that has not begun."""
    if day < FIRST_DAY:
        raise InvalidInput("day_invalid", f"Send a day from {FIRST_DAY} on. There were no payments before.", "date")
    if day > services.clock.now().date():
        raise InvalidInput("time_in_future", "The date is in the future. Send a day that has begun, in UTC.", "date")


def lock_day(services: ReconciliationServices, transaction: Transaction, day: date, actor: str) -> LockedDay:
    """Lock the reconciliation of a day, which is added if there is none: no slice of it runs until the end.

    Raises MonthsArchived.
    """
    run = new_run(services.ids.new(), day, _gateways(services, transaction, day), actor, services.clock.now())
    known = None if runs.add(transaction, run) else runs.lock_day(transaction, day)
    # One that is running keeps its months in the database.
    if known is None or known.state is not RunState.RUNNING:
        _check_months_are_here(services, transaction, day)
    return LockedDay(run, is_new=True) if known is None else LockedDay(known, is_new=False)


def _check_months_are_here(services: ReconciliationServices, transaction: Transaction, day: date) -> None:
    """Raise MonthsArchived for a day of which operations may be in the archive: their lines would look unknown."""
    begin = datetime.combine(day, datetime.min.time(), UTC)
    if months := services.old_months.find_away(transaction, begin - BEGAN_BEFORE, begin + _days(1)):
        raise MonthsArchived(months)


def compare_from_start(
    services: ReconciliationServices, transaction: Transaction, locked: LockedDay, actor: str
) -> Run:
    """Begin to compare a day from the start, also if that is under way."""
    # Read under the lock, because an import that has just ended may have added a gateway.
    gateways = _gateways(services, transaction, locked.run.day)
    now = services.clock.now()
    if locked.is_new:
        run = new_run(locked.run.id, locked.run.day, gateways, actor, now)
    else:
        run = again(locked.run, gateways, actor, now)
    runs.save(transaction, run)
    return run


def _gateways(services: ReconciliationServices, transaction: Transaction, day: date) -> tuple[str, ...]:
    return tuple(sorted({*services.sources, *statements.gateways_of(transaction, day)}))


def find_reconciliation_of(services: ReconciliationServices, day: date) -> tuple[Run, BreakCounts] | None:
    """Return the reconciliation of a day with the counts of its breaks, None if it was not reconciled."""
    run = runs.find_day(services.database, day)
    return None if run is None else (run, breaks.count(services.database, run.id))


def find_reconciliation(services: ReconciliationServices, id_: UUID) -> tuple[Run, BreakCounts] | None:
    """Return a reconciliation with the counts of its breaks, None if there is none of this id."""
    run = runs.find(services.database, id_)
    return None if run is None else (run, breaks.count(services.database, run.id))


def count_breaks(services: ReconciliationServices, id_: UUID) -> BreakCounts:
    """Count the breaks of a reconciliation."""
    return breaks.count(services.database, id_)


def list_reconciliations(
    services: ReconciliationServices, before: date | None, limit: int
) -> list[tuple[Run, BreakCounts]]:
    """Return up to `limit` reconciliations of days before that one, the newest day first."""
    found = runs.list_runs(services.database, before, limit)
    return [(run, breaks.count(services.database, run.id)) for run in found]


def start_nightly(services: ReconciliationServices) -> list[Run]:
    """Begin the days that are over and not reconciled yet, and again those with something unsettled; return them."""
    newest_over = (services.clock.now() - services.grace - timedelta(days=1)).date()
    recent = runs.list_runs(services.database, newest_over + _days(1), TAKEN_UP_DAYS_MAX)
    known = {run.day: run for run in recent if newest_over - run.day < _days(TAKEN_UP_DAYS_MAX)}
    first = max(min(known, default=newest_over), newest_over - _days(CAUGHT_UP_DAYS_MAX - 1))
    days = [first + _days(number) for number in range((newest_over - first).days + 1)]
    wanted = {day for day in days if day not in known or _was_early(services, known[day])}
    wanted |= _unsettled_days(services, known.values(), newest_over)
    return [start_reconciliation(services, day, NIGHTLY) for day in sorted(wanted)]


def _was_early(services: ReconciliationServices, run: Run) -> bool:
    """Tell whether a pass began before its day was over."""
    return run.state is not RunState.RUNNING and run.began_at < run.statement_range(services.grace)[1]


def _unsettled_days(services: ReconciliationServices, known: Iterable[Run], newest_over: date) -> set[date]:
    """Return the days to compare again, once in a night: what was pending or differed may have settled since.

    A day that failed waits for a person.
    """
    tonight = datetime.combine(newest_over + _days(1), datetime.min.time(), UTC) + services.grace
    ended = {run.id: run for run in known if run.state is RunState.FINISHED and run.began_at < tonight}
    unsettled = {id_ for id_, run in ended.items() if run.pending or run.on_the_way}
    if doubtful := ended.keys() - unsettled:
        unsettled |= breaks.with_standing(services.database, sorted(doubtful))
    return {ended[id_].day for id_ in unsettled}


def running(services: ReconciliationServices) -> list[UUID]:
    """Return the reconciliations that can go on now."""
    return runs.running(services.database, services.clock.now(), RUNNING_MAX)


def count_troubles(services: ReconciliationServices) -> tuple[int, int]:
    """Return how many breaks are open, counted up to OPEN_BREAKS_MAX, and how many of the newest days failed."""
    open_breaks = sum(breaks.count_open(services.database, OPEN_BREAKS_MAX).values())
    return open_breaks, runs.count_failed(services.database, FAILED_DAYS)


async def work_on(
    services: ReconciliationServices,
    id_: UUID,
    seconds_max: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Progress:
    """Do slices of a reconciliation until it ends, has to wait or the seconds are over, at least one.

    Raises DatabaseUnavailable and LockTimeout.
    """
    ends_at = monotonic() + seconds_max
    while True:
        progress = await _step(services, id_)
        if progress is not Progress.MOVED or monotonic() >= ends_at:
            return progress


def clean_up(services: ReconciliationServices) -> int:
    """Delete a part of the lines that are not needed any more; return how many."""
    statements.leave_old(services.database, services.clock.now() - STATEMENTS_KEPT)
    with services.database.transaction() as transaction:
        return statements.delete_leftovers(transaction, LEFTOVER_LINES)


async def _step(services: ReconciliationServices, id_: UUID) -> Progress:
    run = runs.find(services.database, id_)
    if run is None or run.state is not RunState.RUNNING:
        return Progress.ENDED
    if run.phase is RunPhase.STATEMENT:
        return await _read_page(services, run) if services.asks_gateways else Progress.WAITS
    compare = {
        RunPhase.LINES: compare_lines,
        RunPhase.OURS: compare_ours,
        RunPhase.SETTLE: compare_settled,
        RunPhase.CLOSE: close_pass,
    }[run.phase]
    with services.database.transaction() as transaction:
        locked = runs.lock(transaction, id_)
        if locked is None:
            return Progress.BUSY
        if _position(locked) != _position(run):
            return Progress.MOVED
        now = services.clock.now()
        after = compare(services, transaction, locked, now)
        runs.save(transaction, after)
    if after.state is not RunState.RUNNING:
        services.on_end(after, count_breaks(services, after.id))
        return Progress.ENDED
    return Progress.WAITS if _position(after) == _position(run) else Progress.MOVED


async def _read_page(services: ReconciliationServices, run: Run) -> Progress:
    """Read a page of the statement. The transaction begins once the gateway has answered."""
    if run.retry_at is not None and services.clock.now() < run.retry_at:
        return Progress.WAITS
    page = None if _is_imported(services, run) else await _fetch(services, run)
    with services.database.transaction() as transaction:
        locked = runs.lock(transaction, run.id)
        if locked is None:
            return Progress.BUSY
        if _position(locked) != _position(run):
            return Progress.MOVED
        after = _after_page(services, transaction, locked, page)
        runs.save(transaction, after)
    if after.state is not RunState.RUNNING:
        services.on_end(after, count_breaks(services, after.id))
        return Progress.ENDED
    return Progress.WAITS if after.error is not None else Progress.MOVED


async def _fetch(services: ReconciliationServices, run: Run) -> StatementPage | StatementUnavailable:
    source = services.sources.get(run.gateway_name)
    if source is None:
        return StatementUnavailable("it is not configured, and no statement was imported for it")
    begin, end = run.statement_range(services.grace)
    return await source.read_statement(begin, end, run.place.get("after"))


def _after_page(
    services: ReconciliationServices,
    transaction: Transaction,
    run: Run,
    page: StatementPage | StatementUnavailable | None,
) -> Run:
    """Store the lines of a page, and return the run after it. Without a page the statement was imported."""
    now = services.clock.now()
    if page is None:
        return _read_imported(transaction, run)
    if isinstance(page, StatementUnavailable):
        return unavailable(run, page.error, now)
    number, known_id = run.place.get("number", 1), run.place.get("statement_id")
    id_ = services.ids.new() if known_id is None else UUID(known_id)
    if known_id is None:
        source = services.sources.get(run.gateway_name)
        has_holds = source is not None and source.covers_holds
        statement = NewStatement(id_, run.gateway_name, run.day, "gateway", has_holds, run.actor, now)
        statements.replace(transaction, statement)
    statements.add_lines(transaction, id_, page.lines, number, run.day)
    place = {"statement_id": str(id_), "after": page.after, "number": number + len(page.lines)}
    return next_phase(run) if page.after is None else go_on(run, place)


def _read_imported(transaction: Transaction, run: Run) -> Run:
    """Forget what an earlier pass has asked about the next lines of an imported statement; return the run after it."""
    statement = statements.find(transaction, run.gateway_name, run.day)
    assert statement is not None, "an imported statement is only ever replaced by another one"
    key, number = UUID(run.place.get("key", str(NO_ID))), run.place.get("number", 0)
    last = statements.forget_asked(transaction, statement.id, key, number, IMPORTED_LINES)
    return next_phase(run) if last is None else go_on(run, {"key": str(last[0]), "number": last[1]})


def _is_imported(services: ReconciliationServices, run: Run) -> bool:
    return run.gateway_name in statements.gateways_of(services.database, run.day)


def _position(run: Run) -> tuple[object, ...]:
    return run.pass_, run.gateway, run.phase, dict(run.place)


def _days(number: int) -> timedelta:
    return timedelta(days=number)
