"""A day is worked on in slices, by any number of processes, which may die at any step: it comes to the same."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from local.testkit.dying_database import DyingDatabase
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.connecting import DatabaseAddress
from paybridge.payments.domain.statement import StatementLine, StatementPage, StatementUnavailable
from paybridge.payments.gateways import statement_reading
from paybridge.reconciliation import compare_slices
from paybridge.reconciliation.domain.breaks import BreakState
from paybridge.reconciliation.domain.run import UNAVAILABLE_MAX, Run, RunPhase, RunState
from paybridge.reconciliation.reconcile import (
    Progress,
    clean_up,
    count_troubles,
    find_reconciliation,
    running,
    start_nightly,
    start_reconciliation,
    work_on,
)
from paybridge.reconciliation.store import breaks
from tests.reconciliation.conftest import EMPTY
from tests.support.reconciling import GRACE, Shop

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

FORGET = EMPTY.sql.replace("operations, outbox, late_checks, charges_to_return, ", "")


@pytest.fixture
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of two lines, so that a few payments are many slices."""
    monkeypatch.setattr(compare_slices, "SLICE", 2)
    monkeypatch.setattr(statement_reading, "PAGE_LINES", 2)


async def a_day_with_breaks(shop: Shop) -> None:
    paid = [await shop.pay() for _ in range(5)]
    await shop.refund(paid[0], "30.00")

    def change(lines: list[StatementLine]) -> list[StatementLine]:
        kept = [each for each in lines if each.operation_id != paid[1]]
        again = [replace(each, id=f"{each.id}_again") for each in kept if each.operation_id == paid[2]]
        return [*kept, *again, *(each for each in kept * 4 if each.operation_id == paid[3])]

    shop.statement.edit = change


def outcome(shop: Shop, run: Run) -> tuple[object, ...]:
    found = sorted((each.found.identity, str(each.state), str(each.found.effects)) for each in shop.breaks(run))
    return run.state, run.totals, run.matched, run.difference, run.unexplained, found


async def test_small_slices_come_to_the_same(shop: Shop, small_slices: None) -> None:
    await a_day_with_breaks(shop)
    cut = outcome(shop, await shop.reconcile())
    pages = shop.statement.pages
    shop.change(FORGET)
    with pytest.MonkeyPatch.context() as whole:
        whole.setattr(compare_slices, "SLICE", 2000)
        whole.setattr(statement_reading, "PAGE_LINES", 1000)
        assert outcome(shop, await shop.reconcile()) == cut
    assert pages > 4
    assert cut[0] is RunState.FINISHED
    assert len(cut[5]) > 3  # type: ignore[arg-type]


async def test_a_process_that_dies_at_any_step_leaves_the_rest_to_the_next(
    shop: Shop, small_slices: None, database_address: DatabaseAddress
) -> None:
    await a_day_with_breaks(shop)
    expected = outcome(shop, await shop.reconcile())
    deaths = 0
    for step in range(1, 400, 9):
        shop.change(FORGET)
        run = start_reconciliation(shop.services, shop.clock.now().date(), "a test")
        with closing(DyingDatabase(database_address, step)) as dying:
            try:
                while await work_on(replace(shop.services, database=dying), run.id, 60.0) is not Progress.ENDED:
                    shop.clock.move(31)
            except DatabaseUnavailable:
                deaths += 1
            else:
                break
        assert outcome(shop, await shop.reconcile()) == expected, f"it died at step {step}"
    assert deaths > 5


async def test_two_processes_at_once_do_no_slice_twice(
    shop: Shop, small_slices: None, database_address: DatabaseAddress
) -> None:
    await a_day_with_breaks(shop)
    expected = outcome(shop, await shop.reconcile())
    shop.change(FORGET)
    run = start_reconciliation(shop.services, shop.clock.now().date(), "a test")

    async def work() -> None:
        with closing(DyingDatabase(database_address, 10**9)) as own:
            for _ in range(1000):
                if await work_on(replace(shop.services, database=own), run.id, 0.0) is Progress.ENDED:
                    return
                await asyncio.sleep(0)

    await asyncio.gather(work(), work(), work())
    found = find_reconciliation(shop.services, run.id)
    assert found is not None
    assert outcome(shop, found[0]) == expected


class Silent:
    """A gateway that gives no statement."""

    covers_holds = True

    async def read_statement(self, *_: object) -> StatementPage | StatementUnavailable:
        return StatementUnavailable("the gateway answered 503 for its statement")


async def test_a_gateway_without_a_statement_is_asked_again_and_fails_the_day_after_hours(shop: Shop) -> None:
    shop.services = replace(shop.services, sources={"default": Silent()})
    run = start_reconciliation(shop.services, shop.clock.now().date(), "a test")
    assert await work_on(shop.services, run.id, 5.0) is Progress.WAITS
    found = find_reconciliation(shop.services, run.id)
    assert found is not None
    assert (found[0].state, found[0].error) == (
        RunState.RUNNING,
        "no statement of the gateway default: the gateway answered 503 for its statement",
    )
    # Not before a while.
    assert running(shop.services) == []
    shop.clock.move(UNAVAILABLE_MAX.total_seconds())
    assert running(shop.services) == [run.id]
    assert await work_on(shop.services, run.id, 5.0) is Progress.ENDED
    found = find_reconciliation(shop.services, run.id)
    assert found is not None
    assert found[0].state is RunState.FAILED
    assert count_troubles(shop.services) == (0, 1)


async def test_the_hours_without_a_statement_begin_with_the_first_failure(shop: Shop) -> None:
    """A pass that waited for long before, such as for other days, has not used them up."""
    run = start_reconciliation(shop.services, shop.clock.now().date(), "a test")
    shop.services = replace(shop.services, sources={"default": Silent()})
    shop.clock.move(UNAVAILABLE_MAX.total_seconds())
    assert await work_on(shop.services, run.id, 5.0) is Progress.WAITS
    shop.clock.move(UNAVAILABLE_MAX.total_seconds() - 1)
    assert await work_on(shop.services, run.id, 5.0) is Progress.WAITS
    shop.clock.move(1)
    assert await work_on(shop.services, run.id, 5.0) is Progress.WAITS
    shop.clock.move(31)
    assert await work_on(shop.services, run.id, 5.0) is Progress.ENDED


async def test_a_gateway_that_left_the_configuration_fails_the_day_and_keeps_its_breaks(shop: Shop) -> None:
    await shop.charge_elsewhere()
    (found,) = shop.breaks(await shop.reconcile())
    shop.services = replace(shop.services, sources={})
    begun = start_reconciliation(shop.services, shop.clock.now().date(), "a test")
    assert await work_on(shop.services, begun.id, 5.0) is Progress.WAITS
    shop.clock.move(UNAVAILABLE_MAX.total_seconds())
    run = await shop.reconcile()
    assert run.gateways == ("default",)
    assert (run.state, run.error) == (
        RunState.FAILED,
        "No statement of the gateway default: it is not configured, and no statement was imported for it.",
    )
    (kept,) = shop.breaks(run)
    assert (kept.id, kept.state) == (found.id, BreakState.OPEN)


async def test_a_pass_resolves_breaks_of_its_own_gateways_only(shop: Shop) -> None:
    await shop.charge_elsewhere()
    run = await shop.reconcile()
    now = shop.clock.now()

    def resolved(gateway: str) -> int:
        with shop.database.transaction() as transaction:
            return breaks.resolve_gone(transaction, run.id, [gateway], run.pass_ + 1, "a test", "gone", now)

    assert (resolved("bank"), resolved("default")) == (0, 1)


async def test_breaks_that_do_not_explain_the_difference_fail_the_day(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a fault of our own comparison."""
    await shop.charge_elsewhere()
    compare = compare_slices.compare

    def careless(*arguments: object) -> object:
        comparison = compare(*arguments)  # type: ignore[arg-type]
        comparison.breaks = [replace(each, effects={}) for each in comparison.breaks]
        return comparison

    monkeypatch.setattr(compare_slices, "compare", careless)
    run = await shop.reconcile()
    assert run.state is RunState.FAILED
    assert run.unexplained == {"EUR": 4_200}
    assert run.error == "The breaks do not explain the difference: 42.00 EUR are left."


async def test_a_line_that_is_read_by_no_slice_fails_the_day(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.pay()
    read = compare_slices.statements.read
    monkeypatch.setattr(compare_slices.statements, "read", lambda *arguments: read(*arguments)[1:])
    run = await shop.reconcile()
    assert (run.state, run.error) == (RunState.FAILED, "The statement of default has 1 lines. 0 were compared.")


async def test_a_line_that_a_slice_counts_otherwise_fails_the_day(shop: Shop) -> None:
    """The database adds up the statement apart from the slices."""
    await shop.charge_elsewhere()
    run = start_reconciliation(shop.services, shop.clock.now().date(), "a test")
    while True:
        found = find_reconciliation(shop.services, run.id)
        assert found is not None
        if found[0].phase is RunPhase.CLOSE:
            break
        await work_on(shop.services, run.id, 0.0)
    shop.change("UPDATE gateway_statement_lines SET amount_minor = amount_minor + 1")
    assert await work_on(shop.services, run.id, 0.0) is Progress.ENDED
    found = find_reconciliation(shop.services, run.id)
    assert found is not None
    assert (found[0].state, found[0].unexplained) == (RunState.FAILED, {"EUR": 1})


async def test_the_process_that_ends_a_day_logs_it(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The function and the API both end days."""
    await shop.charge_elsewhere()
    run = await shop.reconcile()
    assert await work_on(shop.services, run.id, 0.0) is Progress.ENDED
    ended = [record for record in caplog.records if record.getMessage().startswith("a reconciliation")]
    assert [(record.getMessage(), record.levelname) for record in ended] == [
        ("a reconciliation found breaks", "WARNING")
    ]
    assert vars(ended[0])["breaks"] == 1


class TestNightly:
    async def test_the_day_before_is_reconciled_once_its_grace_is_over(self, shop: Shop) -> None:
        midnight = shop.clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        await shop.pay()
        shop.clock.move((midnight - shop.clock.now()).total_seconds() + GRACE.total_seconds() - 5)
        # The first one ever is the day before yesterday then.
        (first,) = start_nightly(shop.services)
        assert first.day == (midnight - timedelta(days=2)).date()
        shop.clock.move(10)
        (run,) = start_nightly(shop.services)
        assert run.day == (midnight - timedelta(days=1)).date()
        assert start_nightly(shop.services) == []
        await work_on(shop.services, run.id, 60.0)
        found = find_reconciliation(shop.services, run.id)
        assert found is not None
        assert (found[0].state, found[0].totals["gateway"]) == (RunState.FINISHED, {"EUR": 10_000})

    async def test_a_day_that_was_reconciled_before_its_end_is_reconciled_again(self, shop: Shop) -> None:
        early = await shop.reconcile()
        shop.clock.move(86_400 + GRACE.total_seconds() + 60)
        assert early.id in {run.id for run in start_nightly(shop.services)}
        assert start_nightly(shop.services) == []

    async def test_days_without_the_function_are_caught_up(self, shop: Shop) -> None:
        await shop.reconcile()
        shop.clock.move(4 * 86_400)
        days = [run.day for run in start_nightly(shop.services)]
        assert len(days) in {3, 4}
        assert days == sorted(days)


async def test_statements_that_were_replaced_are_deleted(shop: Shop) -> None:
    for _ in range(3):
        await shop.pay()
    for _ in range(3):
        await shop.reconcile()
    assert clean_up(shop.services) == 3
    assert clean_up(shop.services) == 3
    assert clean_up(shop.services) == 0
