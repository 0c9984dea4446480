"""The statement of every gateway has each deed that moved money once, by our operation id, in our minor units."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from paybridge.payments.domain.operation import Kind
from paybridge.payments.domain.statement import SIGNS, LineStatus, StatementLine, StatementPage
from paybridge.payments.gateways import statement_reading, stripe_balance
from tests.payments.gateways.contract.asking import AMOUNT_MINOR, Payment, a_payment
from tests.payments.gateways.contract.driver import Gateway, Money

pytestmark = pytest.mark.integration

FROM, TO = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=2)


async def statement(gateway: Gateway, begin: datetime = FROM, end: datetime = TO) -> list[StatementLine]:
    """Every page, as they follow each other."""
    lines: list[StatementLine] = []
    after: str | None = None
    while True:
        page = await gateway.adapter.read_statement(begin, end, after)
        assert isinstance(page, StatementPage), page
        lines += page.lines
        after = page.after
        if after is None:
            return lines


async def moved(gateway: Gateway, *ids: uuid.UUID) -> list[tuple[uuid.UUID | None, Kind, int, str]]:
    """What moved money for these operations, by the statement."""
    return sorted(
        (line.operation_id, line.kind, line.amount_minor, line.currency)
        for line in await statement(gateway)
        if line.operation_id in ids and SIGNS[line.kind] and line.status is LineStatus.SUCCEEDED
    )


async def test_a_charge_and_its_refunds_are_on_the_statement(gateway: Gateway) -> None:
    payment = await a_payment(gateway)
    await payment.take(Kind.CHARGE)
    refunds = [payment.request(Kind.REFUND, 3000) for _ in range(2)]
    for request in refunds:
        await gateway.adapter.send(request)
    ids = [request.operation_id for request in refunds]
    assert await moved(gateway, payment.id, *ids) == sorted(
        [(payment.id, Kind.CHARGE, AMOUNT_MINOR, "EUR"), *((id_, Kind.REFUND, 3000, "EUR") for id_ in ids)]
    )


async def test_a_capture_is_what_was_captured_under_its_own_id(gateway: Gateway) -> None:
    payment = await a_payment(gateway)
    await payment.take(Kind.AUTHORIZATION)
    assert await moved(gateway, payment.id) == []
    capture = payment.request(Kind.CAPTURE, 4000)
    await gateway.adapter.send(capture)
    assert await moved(gateway, payment.id, capture.operation_id) == [(capture.operation_id, Kind.CAPTURE, 4000, "EUR")]


async def test_a_partial_approval_has_what_was_approved(gateway: Gateway) -> None:
    payment = await a_payment(gateway, Money.IN_PART)
    await payment.take(Kind.CHARGE)
    assert await moved(gateway, payment.id) == [(payment.id, Kind.CHARGE, AMOUNT_MINOR * 4 // 5, "EUR")]


async def test_what_moved_no_money_adds_nothing(gateway: Gateway) -> None:
    payment = await a_payment(gateway, Money.DECLINED)
    await gateway.adapter.send(payment.request(Kind.CHARGE))
    held = await a_payment(gateway)
    await held.take(Kind.AUTHORIZATION)
    void = held.request(Kind.VOID)
    await gateway.adapter.send(void)
    assert await moved(gateway, payment.id, held.id, void.operation_id) == []


async def test_a_refund_that_is_taken_back_has_a_line_of_the_same_operation(gateway: Gateway) -> None:
    payment = await a_payment(gateway, Money.REFUND_TAKEN_BACK)
    await payment.take(Kind.CHARGE)
    refund = payment.request(Kind.REFUND)
    await gateway.adapter.send(refund)
    await gateway.let_time_pass()
    assert await moved(gateway, refund.operation_id) == [
        (refund.operation_id, Kind.REFUND, AMOUNT_MINOR, "EUR"),
        (refund.operation_id, Kind.REFUND_REVERSAL, AMOUNT_MINOR, "EUR"),
    ]


@pytest.mark.parametrize(("currency", "places", "amount_minor"), [("JPY", 0, 5000), ("KWD", 3, 12_340)])
async def test_amounts_are_in_our_minor_units(gateway: Gateway, currency: str, places: int, amount_minor: int) -> None:
    payment = await a_payment(gateway, currency=currency, places=places, amount_minor=amount_minor)
    await payment.take(Kind.CHARGE)
    assert await moved(gateway, payment.id) == [(payment.id, Kind.CHARGE, amount_minor, currency)]


async def test_the_line_has_the_gateways_own_id_of_the_operation(gateway: Gateway) -> None:
    payment = await a_payment(gateway)
    await payment.take(Kind.CHARGE)
    (line,) = [line for line in await statement(gateway) if line.operation_id == payment.id]
    assert line.id == payment.target


async def test_pages_have_every_line_once(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement_reading, "PAGE_LINES", 2)
    monkeypatch.setattr(stripe_balance, "PAGE_SIZE", 2)
    payments: list[Payment] = [await a_payment(gateway) for _ in range(5)]
    for payment in payments:
        await payment.take(Kind.CHARGE)
    lines = [line.id for line in await statement(gateway)]
    assert len(lines) == len(set(lines))
    assert {payment.target for payment in payments} <= set(lines)


async def test_the_range_is_kept(gateway: Gateway) -> None:
    payment = await a_payment(gateway)
    await payment.take(Kind.CHARGE)
    (line,) = [line for line in await statement(gateway) if line.operation_id == payment.id]
    second = timedelta(seconds=1)
    within = await statement(gateway, line.at - second, line.at + second)
    before = await statement(gateway, line.at - 60 * second, line.at - second)
    assert payment.id in {each.operation_id for each in within}
    assert payment.id not in {each.operation_id for each in before}
