"""A statement is imported together with the next comparison of its day, or not at all."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date, timedelta

import pytest
import pytest_asyncio

from local.testkit.dying_database import die_at_every_step
from paybridge.core.errors import InvalidInput
from paybridge.database.connecting import DatabaseAddress
from paybridge.database.database import Database, Statement
from paybridge.reconciliation import reconcile
from paybridge.reconciliation.domain.breaks import BreakState, BreakType
from paybridge.reconciliation.domain.run import Run, RunPhase, RunState
from paybridge.reconciliation.import_statement import import_statement
from paybridge.reconciliation.reconcile import (
    STATEMENTS_KEPT,
    Progress,
    clean_up,
    find_reconciliation_of,
    start_reconciliation,
    work_on,
)
from tests.support.reconciling import GRACE, Shop, no_answer

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

HEADER = "id,operation_id,kind,amount,currency,created_at"
_STATEMENTS = Statement("SELECT gateway, source, lines FROM gateway_statements ORDER BY gateway")
_PASSES = Statement("SELECT state, pass FROM reconciliations WHERE day > '2001-01-01'")
_GATEWAYS_BEFORE = Statement("""
    INSERT INTO reconciliations (id, day, state, began_at, gateways, phase, difference, unexplained, actor, created_at,
                                 finished_at)
    VALUES (gen_random_uuid(), '2000-01-01', 'finished', now(), '{bank,card}', 'close', '{}', '{}', 'tests', now(),
            now())
""")


@pytest.fixture(autouse=True)
def gateways_before(shop: Shop) -> None:
    """Gateways that a day was compared with, and that are not configured any more."""
    shop.database.run(_GATEWAYS_BEFORE)


def statement_of(day: date, *ids: str) -> bytes:
    return "\n".join([HEADER, *(f"{id_},,charge,42.00,EUR,{day}T12:00:00Z" for id_ in ids)]).encode()


async def ended(shop: Shop, run_id: uuid.UUID) -> None:
    while await work_on(shop.services, run_id, 5.0) is not Progress.ENDED:
        shop.clock.move(31)


async def test_a_process_that_dies_leaves_no_statement_that_no_pass_has_read(
    shop: Shop, database_address: DatabaseAddress
) -> None:
    day = shop.clock.now().date()
    await ended(shop, import_statement(shop.services, day, "bank", statement_of(day, "a"), "tests").id)

    def replace_it(database: Database) -> None:
        services = replace(shop.services, database=database)
        import_statement(services, day, "bank", statement_of(day, "a", "b"), "tests")

    def look() -> object:
        return shop.database.run(_STATEMENTS), shop.database.run(_PASSES)

    assert die_at_every_step(database_address, replace_it, look) > 4
    assert look() == ([["bank", "import", 2], ["default", "gateway", 0]], [["running", 2]])


async def test_a_day_under_way_begins_again_with_the_new_lines(shop: Shop) -> None:
    day = shop.clock.now().date()
    run = import_statement(shop.services, day, "bank", statement_of(day, "a", "b"), "tests")
    assert (run.pass_, run.gateways) == (1, ("bank", "default"))
    assert await work_on(shop.services, run.id, 0.0) is Progress.MOVED
    again = import_statement(shop.services, day, "bank", statement_of(day, "c"), "tests")
    assert (again.id, again.pass_, again.phase, again.gateway) == (run.id, 2, RunPhase.STATEMENT, 0)
    await ended(shop, run.id)
    found = find_reconciliation_of(shop.services, day)
    assert found is not None
    assert (found[0].state, found[0].difference) == (RunState.FINISHED, {"EUR": 4_200})
    (one,) = [each for each in shop.breaks(run) if each.state == "open"]
    assert (one.found.type, one.gateway_name) == (BreakType.MISSING_HERE, "bank")
    assert one.found.gateway is not None
    assert one.found.gateway.id == "c"


@pytest.mark.parametrize("gateway", ["defualt", "Default", "", "default,bank", "x" * 100])
async def test_a_gateway_that_never_was_is_refused(shop: Shop, gateway: str) -> None:
    day = shop.clock.now().date()
    with pytest.raises(InvalidInput) as refused:
        import_statement(shop.services, day, gateway, statement_of(day, "a"), "tests")
    assert (refused.value.code, refused.value.field) == ("gateway_unknown", "gateway")
    assert refused.value.detail.startswith(f"There is no gateway {gateway!r}. Send one of default, ")
    assert shop.database.run(_STATEMENTS) == []


async def test_a_line_that_is_stored_and_read_by_no_slice_fails_the_day(shop: Shop) -> None:
    day = shop.clock.now().date()
    run = import_statement(shop.services, day, "bank", statement_of(day, "a", "b"), "tests")
    shop.change("DELETE FROM gateway_statement_lines WHERE line_id = 'b'")
    await ended(shop, run.id)
    found = find_reconciliation_of(shop.services, day)
    assert found is not None
    assert (found[0].state, found[0].error) == (
        RunState.FAILED,
        "The statement of bank has 2 lines. 1 were compared.",
    )


async def test_the_same_line_at_two_gateways_is_two_lines(shop: Shop) -> None:
    """Neither an equal id of the gateways nor an equal operation makes one of them."""
    day = shop.clock.now().date()
    payment_id = await shop.pay()
    (line,) = [each for each in (await shop.lines()) if each.operation_id == payment_id]
    rows = f"{line.id},{payment_id},charge,100.00,EUR,{line.at.isoformat()}\nx,,charge,1.00,EUR,{day}T00:00:00Z"
    for gateway in ("bank", "card"):
        run = import_statement(shop.services, day, gateway, f"{HEADER}\n{rows}\n".encode(), "tests")
    await ended(shop, run.id)
    found = find_reconciliation_of(shop.services, day)
    assert found is not None
    # 100.00 at each of the two gateways that never had the payment, and 1.00 at each.
    assert (found[0].state, found[0].difference, found[0].matched) == (RunState.FINISHED, {"EUR": 20_200}, 1)
    breaks = sorted((each.gateway_name, str(each.found.payment_id), each.found.type) for each in shop.breaks(run))
    assert breaks == [
        ("bank", str(payment_id), BreakType.MISSING_HERE),
        ("bank", "None", BreakType.MISSING_HERE),
        ("card", str(payment_id), BreakType.MISSING_HERE),
        ("card", "None", BreakType.MISSING_HERE),
    ]


class TestLinesThatWereAskedAbout:
    """A pass knows nothing of what the pass before has asked about the same lines."""

    @pytest_asyncio.fixture
    async def unknown(self, shop: Shop) -> bytes:
        """The statement of a charge whose answer was lost, and whose outcome nothing has found since."""
        payment_id = await shop.pay_without_an_answer()
        shop.gateway.find = no_answer  # type: ignore[method-assign]
        (line,) = await shop.lines()
        return f"{HEADER}\n{line.id},{payment_id},charge,100.00,EUR,{line.at.isoformat()}\n".encode()

    async def test_a_day_that_begins_again_while_they_wait(self, shop: Shop, unknown: bytes) -> None:
        day = shop.clock.now().date()
        run = import_statement(shop.services, day, "default", unknown, "tests")
        assert await work_on(shop.services, run.id, 5.0) is Progress.WAITS
        shop.clock.move(GRACE.total_seconds() + 1)
        import_statement(shop.services, day, "bank", statement_of(day), "tests")
        await ended(shop, run.id)
        found = find_reconciliation_of(shop.services, day)
        assert found is not None
        assert (found[0].state, found[0].error) == (RunState.FINISHED, None)
        assert found[0].difference == {"EUR": 10_000}

    async def test_a_gateway_that_did_not_answer_is_asked_by_the_next_pass(self, shop: Shop, unknown: bytes) -> None:
        day = shop.clock.now().date()
        shop.clock.move(GRACE.total_seconds() + 1)
        await ended(shop, import_statement(shop.services, day, "default", unknown, "tests").id)
        (found,) = shop.breaks(_run(shop, day))
        assert (found.found.type, found.state) == (BreakType.STATUS_MISMATCH, BreakState.OPEN)
        # It does not answer what the pass has asked, nor what the schedule asks.
        for _ in range(20):
            shop.clock.move(60)
            await shop.run_commands()
        del shop.gateway.find  # type: ignore[attr-defined]
        run = await shop.reconcile(day=day)
        assert (run.state, run.difference) == (RunState.FINISHED, {})
        (resolved,) = [each for each in shop.breaks(run) if each.id == found.id]
        assert resolved.state is BreakState.RESOLVED

    async def test_they_are_found_in_parts(self, shop: Shop, unknown: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reconcile, "IMPORTED_LINES", 1)
        await self.test_a_day_that_begins_again_while_they_wait(shop, unknown)


def _run(shop: Shop, day: date) -> Run:
    found = find_reconciliation_of(shop.services, day)
    assert found is not None
    return found[0]


async def test_a_gateway_that_was_imported_stays_in_the_next_pass(shop: Shop) -> None:
    day = shop.clock.now().date()
    run = import_statement(shop.services, day, "bank", statement_of(day, "a"), "tests")
    await ended(shop, run.id)
    again = start_reconciliation(shop.services, day, "tests")
    assert (again.pass_, again.gateways) == (2, ("bank", "default"))


async def test_what_is_read_for_a_day_long_ago_stays_while_it_is_compared(shop: Shop) -> None:
    day = (shop.clock.now() - STATEMENTS_KEPT - timedelta(days=30)).date()
    run = start_reconciliation(shop.services, day, "tests")
    assert await work_on(shop.services, run.id, 0.0) is Progress.MOVED
    clean_up(shop.services)
    await ended(shop, run.id)
    assert [row[0] for row in shop.database.run(_STATEMENTS)] == ["default"]
    shop.clock.move((STATEMENTS_KEPT + timedelta(days=1)).total_seconds())
    clean_up(shop.services)
    assert shop.database.run(_STATEMENTS) == []
