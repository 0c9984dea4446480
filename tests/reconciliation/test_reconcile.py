"""A day at the simulated gateway is reconciled: what agrees, what breaks, and what is resolved on the way."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date, timedelta

import pytest

from local.testkit.payments import control_gateway, operation_rows, payment_row, rows
from paybridge.payments.domain.gateway_answers import Declined
from paybridge.payments.domain.statement import LineStatus, StatementLine
from paybridge.reconciliation.decide_breaks import decide_break, read_break
from paybridge.reconciliation.domain.breaks import (
    EXPLAIN,
    FORCE,
    RESOLVE,
    VOID,
    BreakDecision,
    BreakState,
    BreakType,
    Direction,
    Resolution,
    StoredBreak,
)
from paybridge.reconciliation.domain.run import Run, RunState
from paybridge.reconciliation.reconcile import Progress, find_reconciliation_of, start_nightly, work_on
from tests.support.reconciling import GRACE, LATE_AFTER, Shop

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]


EVENTS = "SELECT to_json(o) FROM outbox o WHERE type = 'reconciliation.break_found'"
GRACE_SECONDS = GRACE.total_seconds()


async def test_a_day_that_agrees_has_no_break(shop: Shop) -> None:
    charged = await shop.pay()
    await shop.refund(charged, "30.00")
    held = await shop.pay(capture="manual")
    await shop.capture(held, "60.00")
    await shop.pay("tok_decline")
    await shop.pay("tok_partial")
    await shop.run_commands()
    run = await shop.reconcile()
    assert (run.state, run.error) == (RunState.FINISHED, None)
    assert shop.breaks(run) == []
    assert (run.difference, run.unexplained) == ({}, {})
    # 100 - 30 + 60, and 80 that were given back.
    assert run.totals["gateway"] == {"EUR": 13_000}
    assert run.totals["payments"] == {"EUR": 13_000}
    assert run.matched == 7
    assert run.on_the_way == 0


class TestPlantedBreaks:
    """Each kind of break is planted at its side of the real gateway or of our database, and found alone."""

    async def found(self, shop: Shop) -> tuple[BreakType, uuid.UUID | None, dict[str, int]]:
        run = await shop.reconcile(settles=False)
        assert (run.state, run.error) == (RunState.FINISHED, None)
        (one,) = shop.breaks(run)
        assert one.state is BreakState.OPEN
        assert run.difference == dict(one.found.effects)
        assert run.unexplained == {}
        return one.found.type, one.found.payment_id, dict(one.found.effects)

    async def test_a_row_that_the_statement_lacks(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        await shop.pay()
        shop.statement.edit = lambda lines: [each for each in lines if each.operation_id != payment_id]
        assert await self.found(shop) == (BreakType.MISSING_AT_GATEWAY, payment_id, {"EUR": -10_000})

    async def test_a_charge_of_another_system(self, shop: Shop) -> None:
        await shop.pay()
        await shop.charge_elsewhere()
        assert await self.found(shop) == (BreakType.MISSING_HERE, None, {"EUR": 4_200})

    async def test_a_charge_for_an_operation_that_we_do_not_have(self, shop: Shop) -> None:
        await shop.charge_elsewhere(operation_id=str(uuid.uuid4()))
        assert await self.found(shop) == (BreakType.MISSING_HERE, None, {"EUR": 4_200})

    @pytest.mark.parametrize("excess", [1, -1])
    async def test_another_amount(self, shop: Shop, excess: int) -> None:
        payment_id = await shop.pay()

        def change(lines: list[StatementLine]) -> list[StatementLine]:
            return [replace(each, amount_minor=each.amount_minor + excess) for each in lines]

        shop.statement.edit = change
        assert await self.found(shop) == (BreakType.AMOUNT_MISMATCH, payment_id, {"EUR": excess})
        run = await shop.reconcile()
        (one,) = shop.breaks(run)
        assert one.found.direction is (Direction.OVER if excess > 0 else Direction.UNDER)

    async def test_another_currency(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        shop.statement.edit = lambda lines: [replace(each, currency="USD") for each in lines]
        assert await self.found(shop) == (BreakType.CURRENCY_MISMATCH, payment_id, {"USD": 10_000, "EUR": -10_000})

    async def test_declined_at_the_gateway_and_done_here(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        shop.statement.edit = lambda lines: [replace(each, status=LineStatus.DECLINED) for each in lines]
        assert await self.found(shop) == (BreakType.STATUS_MISMATCH, payment_id, {"EUR": -10_000})

    async def test_done_at_the_gateway_and_declined_here(self, shop: Shop) -> None:
        payment_id = await shop.pay("tok_decline")
        shop.statement.edit = lambda lines: [replace(each, status=LineStatus.SUCCEEDED) for each in lines]
        # The gateway itself, when it is asked, says that it declined, so nothing is given back.
        assert await self.found(shop) == (BreakType.STATUS_MISMATCH, payment_id, {"EUR": 10_000})

    async def test_charged_twice_at_the_gateway(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        await shop.charge_elsewhere(
            reference=str(payment_id), operation_id=str(payment_id), amount_minor=10_000, currency="EUR"
        )
        assert await self.found(shop) == (BreakType.DUPLICATE_AT_GATEWAY, payment_id, {"EUR": 10_000})

    async def test_a_row_that_the_statement_has_twice(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        shop.statement.edit = lambda lines: [*lines, *lines]
        assert await self.found(shop) == (BreakType.DUPLICATE_AT_GATEWAY, payment_id, {"EUR": 10_000})

    async def test_two_of_ours_claim_one_charge(self, shop: Shop) -> None:
        payment_id, second = await shop.pay(), await shop.pay()
        shop.change(
            "UPDATE operations SET gateway_id = (SELECT gateway_id FROM operations WHERE id = :of::uuid) "
            "WHERE id = :id::uuid",
            id=second,
            of=payment_id,
        )
        shop.statement.edit = lambda lines: [each for each in lines if each.operation_id != second]
        assert await self.found(shop) == (BreakType.DUPLICATE_HERE, second, {"EUR": -10_000})

    async def test_an_outcome_that_neither_side_knows_for_hours(self, shop: Shop) -> None:
        with shop.impatience():
            payment_id = await shop.pay("tok_timeout")
        shop.change(
            "UPDATE operations SET created_at = :at::timestamptz WHERE id = :id::uuid",
            id=payment_id,
            at=shop.midnight() - LATE_AFTER,
        )
        assert await self.found(shop) == (BreakType.LATE, payment_id, {})

    async def test_all_together_explain_the_whole_difference(self, shop: Shop) -> None:
        missing, over, other_currency, twice = [await shop.pay() for _ in range(4)]
        refunded = await shop.pay()
        refund = await shop.refund(refunded, "30.00")
        await shop.charge_elsewhere()

        def change(lines: list[StatementLine]) -> list[StatementLine]:
            edited = []
            for each in lines:
                if each.operation_id == over:
                    each = replace(each, amount_minor=each.amount_minor + 7)
                elif each.operation_id == other_currency:
                    each = replace(each, currency="JPY")
                elif each.operation_id == twice:
                    edited.append(replace(each, id=f"{each.id}_again"))
                elif each.operation_id == refund:
                    each = replace(each, status=LineStatus.DECLINED)
                if each.operation_id != missing:
                    edited.append(each)
            return edited

        shop.statement.edit = change
        run = await shop.reconcile()
        assert run.state is RunState.FINISHED
        found = {(each.found.type, each.found.operation_id) for each in shop.breaks(run)}
        assert found == {
            (BreakType.MISSING_AT_GATEWAY, missing),
            (BreakType.AMOUNT_MISMATCH, over),
            (BreakType.CURRENCY_MISMATCH, other_currency),
            (BreakType.DUPLICATE_AT_GATEWAY, twice),
            (BreakType.STATUS_MISMATCH, refund),
            (BreakType.MISSING_HERE, None),
        }
        # -100.00, +0.07, -100.00, +100.00, +30.00 and +42.00.
        assert run.difference == {"EUR": -2_793, "JPY": 10_000}


class TestLedger:
    """The third side: what was posted for each operation."""

    @pytest.fixture
    def books(self, shop: Shop) -> Shop:
        shop.services = replace(shop.services, postings=shop.postings)
        return shop

    async def test_what_is_posted_agrees(self, books: Shop) -> None:
        payment_id = await books.pay()
        refund = await books.refund(payment_id, "30.00")
        books.postings.entries = {payment_id: {"EUR": 10_000}, refund: {"EUR": -3_000}}
        run = await books.reconcile()
        assert (books.breaks(run), run.difference) == ([], {})
        assert run.totals["ledger"] == {"EUR": 7_000}

    async def test_what_is_not_posted_is_missing_once_the_grace_is_over(self, books: Shop) -> None:
        payment_id = await books.pay()
        run = await books.reconcile()
        assert (books.breaks(run), run.on_the_way) == ([], 1)
        books.clock.move(GRACE_SECONDS + 1)
        run = await books.reconcile()
        (one,) = books.breaks(run)
        assert (one.found.type, one.found.payment_id) == (BreakType.MISSING_IN_LEDGER, payment_id)
        assert run.difference == {"EUR": 10_000}

    async def test_what_is_posted_wrongly(self, books: Shop) -> None:
        payment_id, refunded = await books.pay(), await books.pay()
        refund = await books.refund(refunded)
        books.postings.entries = {
            payment_id: {"EUR": 9_999},
            refunded: {"USD": 10_000},
            refund: {"EUR": -10_001},
        }
        books.clock.move(GRACE_SECONDS + 1)
        run = await books.reconcile()
        found = {each.found.operation_id: (each.found.type, each.found.direction) for each in books.breaks(run)}
        assert found == {
            payment_id: (BreakType.AMOUNT_MISMATCH, Direction.UNDER),
            refunded: (BreakType.CURRENCY_MISMATCH, None),
            refund: (BreakType.AMOUNT_MISMATCH, Direction.OVER),
        }
        assert (run.unexplained, run.difference) == ({}, {"EUR": 10_002, "USD": -10_000})


class TestUnknownOutcomes:
    """What the gateway's own record settles is settled by the normal use case, and nothing else."""

    async def test_a_charge_whose_answer_was_lost(self, shop: Shop) -> None:
        payment_id = await shop.pay_without_an_answer()
        assert operation_rows(shop.database, payment_id)[0]["status"] == "unknown"
        run = await shop.reconcile()
        assert payment_row(shop.database, payment_id)["status"] == "succeeded"
        (one,) = shop.breaks(run)
        assert one.found.type is BreakType.UNKNOWN_RESOLVED
        assert (one.state, one.resolution) == (BreakState.RESOLVED, Resolution.AUTO)
        assert (run.state, run.difference) == (RunState.FINISHED, {})

    async def test_a_charge_of_a_payment_that_was_given_up(self, shop: Shop) -> None:
        """It is given back, as after a notice or on the schedule."""
        with shop.impatience():
            payment_id = await shop.pay("tok_timeout")
            for _ in range(10):
                shop.clock.move(60)
                await shop.run_commands()
        assert payment_row(shop.database, payment_id)["status"] == "failed"
        await shop.charge_elsewhere(reference=str(payment_id), operation_id=str(payment_id), amount_minor=10_000)
        run = await shop.reconcile()
        assert payment_row(shop.database, payment_id)["status"] == "failed"
        charge, refund = operation_rows(shop.database, payment_id)
        assert (charge["status"], refund["kind"], refund["cause"]) == ("declined", "refund", "charged_late")
        (one,) = shop.breaks(run)
        assert one.found.type is BreakType.UNKNOWN_RESOLVED
        assert one.found.payments is not None
        assert one.found.payments.status == "charged_late"
        assert (run.state, run.difference) == (RunState.FINISHED, {})
        # The refund that gives it back is on the next pass.
        await shop.run_commands()
        again = await shop.reconcile()
        assert (again.difference, again.totals["gateway"]) == ({}, {"EUR": 0})

    async def test_what_stays_unknown_is_a_break_and_resolved_by_a_later_pass(self, shop: Shop) -> None:
        payment_id = await shop.pay_without_an_answer()
        shop.clock.move(GRACE_SECONDS + 1)
        run = await shop.reconcile(settles=False)
        (one,) = shop.breaks(run)
        assert (one.found.type, one.state) == (BreakType.STATUS_MISMATCH, BreakState.OPEN)
        assert run.difference == {"EUR": 10_000}
        await shop.run_commands()
        assert payment_row(shop.database, payment_id)["status"] == "succeeded"
        later = await shop.reconcile()
        (resolved,) = shop.breaks(later)
        assert (resolved.id, resolved.found_at) == (one.id, one.found_at)
        assert (resolved.state, resolved.resolution) == (BreakState.RESOLVED, Resolution.AUTO)
        assert later.difference == {}

    async def test_a_refund_that_was_taken_back(self, shop: Shop) -> None:
        """Reconciliation learns of it before the schedule's look-up, and has it recorded as always."""
        payment_id = await shop.pay("tok_refund_reversed")
        control_gateway(shop.gateway_url, reversal_seconds=0)
        refund = await shop.refund(payment_id)
        run = await shop.reconcile()
        kinds = [each["kind"] for each in operation_rows(shop.database, payment_id)]
        assert kinds == ["charge", "refund", "refund_reversal"]
        assert payment_row(shop.database, payment_id)["refunded_minor"] == 0
        (one,) = shop.breaks(run)
        assert (one.found.type, one.found.kind) == (BreakType.UNKNOWN_RESOLVED, "refund_reversal")
        assert run.totals["gateway"] == run.totals["payments"] == {"EUR": 10_000}
        assert run.difference == {}
        again = await shop.reconcile()
        assert [each.id for each in shop.breaks(again)] == [one.id]
        assert again.matched == 2
        assert refund


async def test_a_second_pass_changes_nothing(shop: Shop) -> None:
    missing, kept = await shop.pay(), await shop.pay()
    shop.statement.edit = lambda lines: [each for each in lines if each.operation_id != missing]
    first = await shop.reconcile()
    before = shop.breaks(first), len(rows(shop.database, EVENTS))
    money = [payment_row(shop.database, each) for each in (missing, kept)]
    shop.clock.move(60)
    second = await shop.reconcile()
    assert (second.id, second.pass_) == (first.id, 2)
    assert (second.difference, second.matched) == (first.difference, first.matched)
    assert (shop.breaks(second), len(rows(shop.database, EVENTS))) == before
    assert [payment_row(shop.database, each) for each in (missing, kept)] == money


class TestFoundAgain:
    """A break that had ended is open again if a pass finds it, with its age, and its history says who and why."""

    @pytest.fixture
    async def missing(self, shop: Shop) -> StoredBreak:
        """A payment that the gateway's statement lacks."""
        await shop.pay()
        shop.statement.edit = lambda _: []
        (one,) = shop.breaks(await shop.reconcile())
        return one

    def history(self, shop: Shop, one: StoredBreak) -> list[tuple[str, str, str | None]]:
        found = read_break(shop.services, one.id)
        assert found is not None
        return [(each.action, each.actor, each.note) for each in found[1]]

    def sequences(self, shop: Shop) -> list[int]:
        return [event["sequence"] for event in rows(shop.database, f"{EVENTS} ORDER BY o.id")]

    async def test_what_had_resolved_by_itself(self, shop: Shop, missing: StoredBreak) -> None:
        shop.statement.edit = list
        (gone,) = shop.breaks(await shop.reconcile())
        assert (gone.state, gone.resolution) == (BreakState.RESOLVED, Resolution.AUTO)
        shop.statement.edit = lambda _: []
        shop.clock.move(60)
        (again,) = shop.breaks(await shop.reconcile())
        assert (again.id, again.found_at) == (missing.id, missing.found_at)
        assert (again.state, again.resolution, again.actor) == (BreakState.OPEN, None, "reconciliation")
        assert again.changed_at > gone.changed_at
        assert self.history(shop, again) == [
            ("resolve", "reconciliation", "The sides now agree."),
            ("open", "reconciliation", "It was found again."),
        ]
        assert self.sequences(shop) == [1, 2]
        # While it is open it is no news.
        await shop.reconcile()
        assert (self.sequences(shop), len(self.history(shop, again))) == ([1, 2], 2)

    async def test_what_a_person_said_was_corrected(self, shop: Shop, missing: StoredBreak) -> None:
        decide_break(shop.services, missing.id, RESOLVE, "Ticket 4711.", "ann")
        (again,) = shop.breaks(await shop.reconcile())
        assert (again.id, again.state) == (missing.id, BreakState.OPEN)
        assert self.history(shop, again) == [
            ("resolve", "ann", "Ticket 4711."),
            ("open", "reconciliation", "It was found again."),
        ]
        # And once more, by another person.
        decide_break(shop.services, missing.id, RESOLVE, "Now really.", "bob")
        await shop.reconcile()
        assert [actor for _, actor, _ in self.history(shop, again)] == [
            "ann",
            "reconciliation",
            "bob",
            "reconciliation",
        ]
        assert self.sequences(shop) == [1, 2, 3]

    @pytest.mark.parametrize("decision", [EXPLAIN, VOID, FORCE])
    async def test_what_a_person_accepted_stays_until_the_difference_is_another(
        self, shop: Shop, missing: StoredBreak, decision: BreakDecision
    ) -> None:
        decide_break(shop.services, missing.id, decision, "We know.", "ann")
        run = await shop.reconcile()
        (same,) = shop.breaks(run)
        assert (same.state, same.actor, same.note) == (decision.state, "ann", "We know.")
        # It still explains its part of the difference.
        assert (run.difference, run.unexplained) == ({"EUR": -10_000}, {})
        shop.change("UPDATE operations SET amount_minor = 9000")
        (other,) = shop.breaks(await shop.reconcile())
        assert (other.id, other.state) == (missing.id, BreakState.OPEN)
        assert dict(other.found.effects) == {"EUR": -9_000}
        assert self.history(shop, other)[-1] == ("open", "reconciliation", "It was found again.")


class TestOutcomesThatCameLater:
    @pytest.fixture
    async def pending(self, shop: Shop) -> uuid.UUID:
        """A payment that the gateway decides after hours, on a day that was compared in the night after it."""
        shop.services = replace(shop.services, late_after=timedelta(days=3))
        control_gateway(shop.gateway_url, pending_seconds=3600)
        payment_id = await shop.pay("tok_pending")
        run = await self.next_night(shop, shop.clock.now().date())
        assert (run.pass_, run.pending, run.matched, shop.breaks(run), run.difference) == (1, 1, 0, [], {})
        return payment_id

    async def next_night(self, shop: Shop, day: date) -> Run:
        """Compare all that the next night takes up, and return the day."""
        now = shop.clock.now()
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        shop.clock.move((midnight - now).total_seconds() + GRACE_SECONDS + 60)
        for each in start_nightly(shop.services):
            while await work_on(shop.services, each.id, 5.0) is not Progress.ENDED:
                shop.clock.move(31)
        found = find_reconciliation_of(shop.services, day)
        assert found is not None
        return found[0]

    async def test_what_was_pending_is_compared_by_the_pass_of_the_next_night(
        self, shop: Shop, pending: uuid.UUID
    ) -> None:
        day = shop.clock.now().date() - timedelta(days=1)
        shop.put_gateway_ahead(7200)
        await shop.run_commands()
        assert payment_row(shop.database, pending)["status"] == "succeeded"
        run = await self.next_night(shop, day)
        assert (run.pass_, run.pending, run.matched) == (2, 0, 1)
        assert run.totals["gateway"] == run.totals["payments"] == {"EUR": 10_000}
        assert (shop.breaks(run), run.difference) == ([], {})
        # Neither does the day on which it ended with us count it, nor is anything left to compare again.
        after = find_reconciliation_of(shop.services, day + timedelta(days=1))
        assert after is not None
        assert (after[0].totals.get("payments", {}), shop.breaks(after[0])) == ({}, [])
        assert (await self.next_night(shop, day)).pass_ == 2

    async def test_what_was_pending_and_went_otherwise_is_found(self, shop: Shop, pending: uuid.UUID) -> None:
        """Such as a charge that the gateway declined after all, and that we took for done."""
        shop.change(
            "UPDATE operations SET status = 'succeeded', attempt_status = 'succeeded', finished_at = :at::timestamptz, "
            "gateway_id = 'ch' WHERE id = :id::uuid",
            id=pending,
            at=shop.clock.now(),
        )
        shop.statement.edit = lambda lines: [replace(each, status=LineStatus.DECLINED) for each in lines]
        run = await self.next_night(shop, shop.clock.now().date() - timedelta(days=1))
        (one,) = shop.breaks(run)
        assert (run.pass_, one.found.type, one.found.payment_id) == (2, BreakType.STATUS_MISMATCH, pending)
        assert run.difference == {"EUR": -10_000}
        # A break that stands is looked at each night, until the sides agree.
        shop.statement.edit = lambda lines: [replace(each, status=LineStatus.SUCCEEDED) for each in lines]
        run = await self.next_night(shop, run.day)
        (one,) = shop.breaks(run)
        assert (run.pass_, one.state, run.difference) == (3, BreakState.RESOLVED, {})

    async def test_a_decline_that_we_do_not_know_is_asked_for(self, shop: Shop) -> None:
        payment_id = await shop.pay_without_an_answer("tok_decline")
        assert operation_rows(shop.database, payment_id)[0]["status"] == "unknown"
        run = await shop.reconcile()
        assert payment_row(shop.database, payment_id)["status"] == "failed"
        (one,) = shop.breaks(run)
        assert (one.found.type, one.state) == (BreakType.UNKNOWN_RESOLVED, BreakState.RESOLVED)
        assert (run.pending, run.difference) == (0, {})

    async def test_a_refund_that_the_gateway_declined_after_all_is_asked_for(self, shop: Shop) -> None:
        payment_id = await shop.pay()
        refund = await shop.refund(payment_id)
        assert payment_row(shop.database, payment_id)["status"] == "refunded"
        shop.engine.gateways["default"].find = _declined  # type: ignore[method-assign]
        shop.statement.edit = lambda lines: [
            replace(each, status=LineStatus.DECLINED) if each.operation_id == refund else each for each in lines
        ]
        run = await shop.reconcile()
        assert payment_row(shop.database, payment_id)["status"] == "succeeded"
        (one,) = shop.breaks(run)
        assert (one.found.type, one.found.operation_id) == (BreakType.UNKNOWN_RESOLVED, refund)
        assert run.totals["gateway"] == run.totals["payments"] == {"EUR": 10_000}
        assert (run.difference, run.unexplained) == ({}, {})


async def test_a_break_is_an_event_of_its_merchant_once(shop: Shop) -> None:
    payment_id = await shop.pay()
    shop.statement.edit = lambda _: []
    run = await shop.reconcile()
    await shop.reconcile()
    (event,) = rows(shop.database, EVENTS)
    (one,) = shop.breaks(run)
    assert event["subject_id"] == str(one.id)
    assert event["merchant_id"] == str(shop.merchant_id)
    assert event["payment_id"] == str(payment_id)


async def test_midnight_divides_by_the_gateways_clock(shop: Shop) -> None:
    """A gateway whose clock is ahead has in its next day what was today with us. It is a break of neither."""
    today = shop.clock.now()
    seconds_left = (
        today.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1) - today
    ).total_seconds()
    late_tonight = seconds_left - 30
    shop.clock.move(late_tonight)
    shop.put_gateway_ahead(late_tonight + 60)
    payment_id = await shop.pay()
    shop.change(
        "UPDATE operations SET finished_at = :at::timestamptz WHERE id = :id::uuid", id=payment_id, at=shop.clock.now()
    )
    run = await shop.reconcile()
    assert (shop.breaks(run), run.difference, run.totals.get("gateway", {})) == ([], {}, {})
    shop.clock.move(7200)
    run = await shop.reconcile()
    assert run.day == (today + timedelta(days=1)).date()
    assert (shop.breaks(run), run.totals["gateway"]) == ([], {"EUR": 10_000})


async def _declined(_: object) -> Declined:
    return Declined("refund_reversed", "Taken back.")
