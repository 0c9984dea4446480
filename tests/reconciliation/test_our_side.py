"""Our operations are found under the ids that the gateway's statements have for them, also those of other days."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from local.testkit.payments import control_gateway, operation_rows
from paybridge.payments.domain.operation import Kind
from paybridge.reconciliation.domain.breaks import BreakType
from paybridge.reconciliation.domain.run import Run, RunState
from tests.support.reconciling import Shop

pytestmark = [pytest.mark.integration, pytest.mark.asyncio]

DAY_SECONDS = 86_400


class TwoDays:
    """A refund of the first day that the gateway takes back on the second, reconciled at the end of each."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def first(self) -> tuple[uuid.UUID, uuid.UUID]:
        payment_id = await self.shop.pay("tok_refund_reversed")
        control_gateway(self.shop.gateway_url, reversal_seconds=DAY_SECONDS)
        refund = await self.shop.refund(payment_id)
        run = await self.shop.reconcile()
        assert (run.totals["gateway"], self.shop.breaks(run)) == ({"EUR": 0}, [])
        return payment_id, refund

    async def second(self) -> Run:
        self.shop.clock.move(DAY_SECONDS)
        self.shop.put_gateway_ahead(DAY_SECONDS + 1)
        return await self.shop.reconcile()


async def test_a_reversal_on_another_day_than_its_refund_is_asked_for_and_agrees(shop: Shop) -> None:
    days = TwoDays(shop)
    payment_id, refund = await days.first()
    run = await days.second()
    kinds = [each["kind"] for each in operation_rows(shop.database, payment_id)]
    assert kinds == ["charge", "refund", "refund_reversal"]
    (one,) = shop.breaks(run)
    assert (one.found.type, one.found.kind) == (BreakType.UNKNOWN_RESOLVED, "refund_reversal")
    assert one.found.operation_id != refund
    assert run.totals["gateway"] == run.totals["payments"] == {"EUR": 10_000}
    assert (run.state, run.difference) == (RunState.FINISHED, {})


async def test_a_reversal_that_the_gateway_does_not_have_is_missing_though_its_refund_is_there(shop: Shop) -> None:
    days = TwoDays(shop)
    payment_id, _ = await days.first()
    await days.second()
    shop.statement.edit = lambda lines: [each for each in lines if each.kind is not Kind.REFUND_REVERSAL]
    run = await shop.reconcile()
    reversal = operation_rows(shop.database, payment_id)[-1]
    (one,) = [each for each in shop.breaks(run) if each.state == "open"]
    assert (one.found.type, str(one.found.operation_id)) == (BreakType.MISSING_AT_GATEWAY, reversal["id"])
    assert (run.difference, run.unexplained) == ({"EUR": -10_000}, {})


async def test_an_operation_of_another_gateway_is_no_match(shop: Shop) -> None:
    payment_id = await shop.pay()
    shop.change("UPDATE operations SET gateway = 'other' WHERE id = :id::uuid", id=payment_id)
    run = await shop.reconcile()
    (one,) = shop.breaks(run)
    assert (one.found.type, one.found.payment_id) == (BreakType.MISSING_HERE, payment_id)
    assert (run.difference, run.matched) == ({"EUR": 10_000}, 0)


async def test_two_late_charges_of_one_payment_agree_and_the_ledger_has_both_under_its_id(shop: Shop) -> None:
    shop.services = replace(shop.services, postings=shop.postings)
    with shop.impatience():
        payment_id = await shop.pay("tok_timeout")
        for _ in range(10):
            shop.clock.move(60)
            await shop.run_commands()
    for _ in range(2):
        await shop.charge_elsewhere(reference=str(payment_id), operation_id=str(payment_id), amount_minor=10_000)
    charges = [each for each in await shop.lines() if each.operation_id == payment_id and each.status == "succeeded"]
    assert len(charges) == 2
    for number, each in enumerate(charges):
        shop.change(
            "INSERT INTO charges_to_return VALUES (:id::uuid, :charge::text, :merchant_id::uuid, 'charged_late', "
            "10000, 'EUR', now() + make_interval(secs => :number::integer))",
            id=payment_id,
            charge=each.id,
            merchant_id=shop.merchant_id,
            number=number,
        )
    shop.postings.entries = {payment_id: {"EUR": 20_000}}
    run = await shop.reconcile()
    assert (shop.breaks(run), run.difference, run.unexplained) == ([], {}, {})
    assert run.totals["gateway"] == run.totals["payments"] == run.totals["ledger"] == {"EUR": 20_000}


async def test_a_refund_that_was_recorded_late_is_on_the_day_of_its_line(shop: Shop) -> None:
    """It has an id of its own and the gateway's, and the line names the refund that was given up."""
    payment_id, given_up, late = await shop.pay(), shop.services.ids.new(), shop.services.ids.new()
    for id_, cause, status, gateway_id, days in (
        (given_up, "merchant", "declined", None, 0),
        (late, "gateway", "succeeded", "re_late", 1),
    ):
        shop.change(
            """INSERT INTO operations (id, payment_id, merchant_id, kind, cause, gateway, amount_minor, status,
                                       number, gateway_id, failure_code, correlation_id, last_sequence,
                                       started_at, created_at, updated_at, finished_at)
               SELECT :id::uuid, payment_id, merchant_id, 'refund', :cause::text, gateway, 3000, :status::text, 1,
                      :gateway_id::text, CASE WHEN :status::text = 'declined' THEN 'gateway_timeout' END,
                      correlation_id, 2, created_at, created_at, :at::timestamptz, :at::timestamptz
               FROM operations WHERE id = :payment_id::uuid""",
            id=id_,
            payment_id=payment_id,
            cause=cause,
            status=status,
            gateway_id=gateway_id,
            at=shop.clock.now() + timedelta(days=days),
        )
    (charge,) = [each for each in await shop.lines() if each.operation_id == payment_id]
    line = replace(charge, id="re_late", operation_id=given_up, kind=Kind.REFUND, amount_minor=3_000)
    shop.statement.edit = lambda lines: [*lines, line] if charge in lines else lines
    run = await shop.reconcile()
    assert (shop.breaks(run), run.totals["gateway"], run.totals["payments"]) == ([], {"EUR": 7_000}, {"EUR": 7_000})
    # The day on which we recorded it has no line of it, and need not.
    shop.clock.move(DAY_SECONDS)
    shop.statement.edit = list
    next_day = await shop.reconcile()
    assert (next_day.id != run.id, shop.breaks(next_day), next_day.difference) == (True, [], {})
