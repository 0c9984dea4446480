"""Reconcile a day of a million payments with a statement of as many lines, three times, and find what was planted."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from bench import kept
from bench.memory import memory_added
from bench.results import ROUNDS, Figure, Goal, Measure, Say
from bench.servers import Servers, open_database
from local.errors import LocalError
from local.testkit.payments import new_merchant
from paybridge.archive.away import ArchivedMonths
from paybridge.core.clock import SystemClock
from paybridge.core.ids import Uuid7Ids
from paybridge.database.database import Database
from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import LineStatus, StatementLine, StatementPage
from paybridge.payments.gateways.statement_reading import PAGE_LINES
from paybridge.reconciliation.domain.run import NO_ID, RunState
from paybridge.reconciliation.ports import ReconciliationServices
from paybridge.reconciliation.reconcile import Progress, find_reconciliation, start_reconciliation, work_on
from paybridge.reconciliation.store import breaks
from paybridge.wiring.reconciliation import LedgerPostings

VARIABLE = "PAYBRIDGE_BENCH_RECONCILE_PAYMENTS"
PAYMENTS = 1_000_000
# A day of a million payments in under three minutes, in the memory of the function.
GOAL_LINES = 6_000.0
GOAL_MEBIBYTES = 96.0
PLANTED = 12
AMOUNT_MINOR = 10_050
_GRACE, _LATE_AFTER = timedelta(minutes=15), timedelta(hours=4)
_SECONDS_MAX = 3_600.0


def measure(servers: Servers) -> Measure:
    """Reconcile the day ROUNDS times: each pass finds the same breaks under the same ids."""
    count = _payments()
    day = (datetime.now(UTC) - timedelta(days=2)).date()
    url = servers.postgres.fresh_database()
    with open_database(url) as database:
        started = time.monotonic()
        payments = kept.fill_day(url, new_merchant(database), count, day)
        servers.say(f"{count:,} payments written in {time.monotonic() - started:.0f} s")
        passes = [reconcile_day(servers.say, database, payments, day) for _ in range(ROUNDS)]
    servers.postgres.drop_database(url)
    assert len({each.breaks for each in passes}) == 1, "a pass found other breaks"
    assert len(passes[0].breaks) == PLANTED, f"{len(passes[0].breaks)} of {PLANTED} planted breaks found"
    return Measure(
        "reconcile",
        [
            Figure(
                "lines of a statement", "lines/s", tuple(each.lines_per_second for each in passes), Goal(GOAL_LINES)
            ),
            Figure("memory added", "MiB", tuple(each.mebibytes for each in passes), Goal(GOAL_MEBIBYTES, at_most=True)),
        ],
        [
            f"{count:,} lines with {count:,} payments and their journals: read, stored, compared both ways, added up.",
            f"{PLANTED} planted breaks were found by each pass under the same ids, and no other.",
        ],
    )


class PlantedStatement:
    """The statement of the day, made as it is read. Of the planted lines every other one lacks, or has a cent more."""

    covers_holds = True

    def __init__(self, payments: kept.Kept) -> None:
        self._payments = payments
        self.planted = {self._place(number): number for number in range(1, PLANTED + 1)}
        self.lines = payments.count - sum(number % 2 for number in self.planted.values())

    def _place(self, number: int) -> int:
        """Return which payment has the planted break of this number. What was declined moved no money."""
        place = number * self._payments.count // PLANTED
        return place - self._payments.is_declined(place)

    async def read_statement(self, _begin: datetime, _end: datetime, after: str | None) -> StatementPage:
        """Return the lines of the next PAGE_LINES payments."""
        first = int(after or 0) + 1
        last = min(first + PAGE_LINES - 1, self._payments.count)
        lines = [line for number in range(first, last + 1) if (line := self._line(number)) is not None]
        return StatementPage(lines, str(last) if last < self._payments.count else None)

    def _line(self, number: int) -> StatementLine | None:
        is_declined = self._payments.is_declined(number)
        line = StatementLine(
            id=self._payments.gateway_id(number),
            operation_id=self._payments.payment_id(number),
            kind=Kind.CHARGE,
            amount_minor=AMOUNT_MINOR,
            currency="RUB",
            status=LineStatus.DECLINED if is_declined else LineStatus.SUCCEEDED,
            at=datetime.fromtimestamp(self._payments.created_ms(number) / 1000, UTC),
        )
        match self.planted.get(number):
            case None:
                return line
            case odd if odd % 2:
                return None
            case _:
                return replace(line, amount_minor=AMOUNT_MINOR + 1)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A pass: its breaks with their ids and states, and what it took."""

    breaks: frozenset[tuple[object, ...]]
    lines_per_second: float
    mebibytes: float


def _payments() -> int:
    text = os.environ.get(VARIABLE, str(PAYMENTS))
    if not text.isascii() or not text.isdecimal() or int(text) < PLANTED:
        raise LocalError(f"{VARIABLE}={text!r} is not a whole number of at least {PLANTED}.")
    return int(text)


def reconcile_day(say: Say, database: Database, payments: kept.Kept, day: date) -> Reconciled:
    """Reconcile the day once, and assert that exactly what was planted was found."""
    statement = PlantedStatement(payments)
    services = ReconciliationServices(
        database=database,
        clock=SystemClock(),
        ids=Uuid7Ids(),
        sources={"default": statement},
        postings=LedgerPostings(),
        old_months=ArchivedMonths(),
        grace=_GRACE,
        late_after=_LATE_AFTER,
        on_end=lambda *_: None,
    )
    run = start_reconciliation(services, day, "bench")
    with memory_added() as added:
        started = time.perf_counter()
        progress = asyncio.run(work_on(services, run.id, _SECONDS_MAX))
        seconds = time.perf_counter() - started
    assert progress is Progress.ENDED, f"the pass is not complete: {progress}"
    found = find_reconciliation(services, run.id)
    assert found is not None
    ended = found[0]
    assert ended.state is RunState.FINISHED, ended.error
    assert ended.matched == payments.count - PLANTED, f"{ended.matched} operations agree"
    assert ended.difference == {"RUB": PLANTED // 2 - PLANTED // 2 * AMOUNT_MINOR}, ended.difference
    stored = breaks.list_breaks(database, run.id, NO_ID, 10 * PLANTED)
    say(f"{statement.lines:,} lines in {seconds:.1f} s, {added[0]:.0f} MiB added, {len(stored)} breaks")
    return Reconciled(
        frozenset((each.id, each.found_at, each.state, each.found.type) for each in stored),
        statement.lines / seconds,
        added[0],
    )
