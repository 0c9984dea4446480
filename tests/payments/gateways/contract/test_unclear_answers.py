"""Whatever happens to an answer, each operation is done once, and a look-up says so."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from paybridge.payments.domain.gateway_answers import (
    Contradictory,
    Declined,
    Fault,
    NotFound,
    PartlyApproved,
    Pending,
    Succeeded,
    UnderWay,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from tests.payments.gateways.contract.asking import AMOUNT_MINOR, Payment, a_payment, ask
from tests.payments.gateways.contract.driver import Gateway, Money

# Adapters wait for answers that never come.
pytestmark = [pytest.mark.integration, pytest.mark.slow]

KINDS = [Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID, Kind.REFUND]
DEED_SECONDS_MAX = 60.0


async def eventually_done(payment: Payment, kind: Kind) -> None:
    async with asyncio.timeout(DEED_SECONDS_MAX):
        while not await payment.deeds(kind):  # noqa: ASYNC110 - the gateway is another process
            await asyncio.sleep(0.05)


class TestLostAnswer:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_what_was_done_is_found(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.lose_answer()
        answer = await gateway.adapter.send(request)
        assert isinstance(answer, Unknown)
        assert answer.fault is Fault.NO_ANSWER
        found = await gateway.adapter.find(request)
        assert isinstance(found, Succeeded)
        assert await ask(gateway.adapter, request, ask_first=True) == found
        repeated = await gateway.adapter.send(request)
        assert isinstance(repeated, Succeeded)
        assert repeated.gateway_id == found.gateway_id
        assert len(await payment.deeds(kind)) == 1

    async def test_two_refunds_whose_answers_are_lost_are_two(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.CHARGE)
        requests = [payment.request(Kind.REFUND, 3000) for _ in range(2)]
        for request in requests:
            await gateway.lose_answer()
            assert isinstance(await gateway.adapter.send(request), Unknown)
        found = [await ask(gateway.adapter, request, ask_first=True) for request in requests]
        assert len({answer.gateway_id for answer in found if isinstance(answer, Succeeded)}) == 2
        assert await payment.deeds(Kind.REFUND) == [3000, 3000]

    async def test_a_part_whose_answer_is_lost_is_found_as_a_part(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.IN_PART)
        request = payment.request(Kind.CHARGE)
        await gateway.lose_answer()
        outcome = await ask(gateway.adapter, request)
        assert isinstance(outcome, PartlyApproved)
        assert await payment.deeds(Kind.CHARGE) == [outcome.approved_minor]

    @pytest.mark.parametrize("kind", [Kind.CHARGE, Kind.AUTHORIZATION])
    async def test_a_decision_for_later_is_found_as_pending(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway, Money.PENDING)
        request = payment.request(kind)
        await gateway.lose_answer()
        assert isinstance(await ask(gateway.adapter, request), Pending)
        await gateway.let_time_pass()
        assert isinstance(await ask(gateway.adapter, request, ask_first=True), Succeeded)
        assert await payment.deeds(kind) == [AMOUNT_MINOR]


class TestLostRequest:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_what_never_arrived_is_not_found_and_is_done_when_asked_again(
        self, gateway: Gateway, kind: Kind
    ) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.lose_request()
        outcome = await ask(gateway.adapter, request)
        assert isinstance(outcome, Unknown)
        assert outcome.never_arrived
        assert await payment.deeds(kind) == []
        assert isinstance(await ask(gateway.adapter, request, ask_first=True), Succeeded)
        assert len(await payment.deeds(kind)) == 1


class TestErrorAfterTheDeed:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_look_up_outweighs_the_error(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.fail_after_the_deed()
        assert isinstance(await ask(gateway.adapter, request), Succeeded)
        assert len(await payment.deeds(kind)) == 1


class TestFaultAfterFault:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_it_is_done_once_in_the_end(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        faults = [gateway.limit_rate, gateway.lose_request, gateway.limit_rate, gateway.fail_after_the_deed]
        outcomes = []
        for number, provoke in enumerate(faults):
            await provoke()
            outcomes.append(await ask(gateway.adapter, request, ask_first=number > 0))
            assert len(await payment.deeds(kind)) == (provoke == gateway.fail_after_the_deed)
        assert not any(isinstance(outcome, Succeeded | Declined) for outcome in outcomes[:-1])
        assert isinstance(outcomes[-1], Succeeded)
        assert await ask(gateway.adapter, request, ask_first=True) == outcomes[-1]


class TestLateAnswer:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_request_in_progress_is_neither_refused_nor_repeated(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.hold()
        assert isinstance(await gateway.adapter.send(request), Unknown)
        outcome = await ask(gateway.adapter, request, ask_first=True)
        assert isinstance(outcome, UnderWay | Pending)
        assert await payment.deeds(kind) == []
        await gateway.release()
        await eventually_done(payment, kind)
        assert isinstance(await ask(gateway.adapter, request, ask_first=True), Succeeded)
        assert len(await payment.deeds(kind)) == 1


class TestForgottenKey:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_what_was_done_is_still_found(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.lose_answer()
        await gateway.adapter.send(request)
        await gateway.forget_keys()
        found = await gateway.adapter.find(request)
        assert isinstance(found, Succeeded)
        assert await ask(gateway.adapter, replace(request, gateway_id=found.gateway_id), ask_first=True) == found
        assert len(await payment.deeds(kind)) == 1

    async def test_the_fault_is_real(self, gateway: Gateway) -> None:
        """Without a look-up the gateway would charge again: that is what the look-up is for."""
        payment = await a_payment(gateway)
        request = payment.request(Kind.CHARGE)
        first = await gateway.adapter.send(request)
        await gateway.forget_keys()
        second = await gateway.adapter.send(request)
        assert isinstance(first, Succeeded)
        assert isinstance(second, Succeeded)
        assert first.gateway_id != second.gateway_id
        assert len(await payment.deeds(Kind.CHARGE)) == 2


class TestDoneAlready:
    """The gateway has forgotten the key, and the operation is asked for again without a look before."""

    @pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.VOID, Kind.REFUND])
    async def test_captured_voided_and_refunded_already_is_success(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        assert isinstance(await gateway.adapter.send(request), Succeeded)
        await gateway.forget_keys()
        assert isinstance(await ask(gateway.adapter, request), Succeeded)
        assert len(await payment.deeds(kind)) == 1

    async def test_a_refund_that_leaves_too_little_for_itself_is_success(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.CHARGE)
        request = payment.request(Kind.REFUND, 6000)
        assert isinstance(await gateway.adapter.send(request), Succeeded)
        await gateway.forget_keys()
        assert isinstance(await ask(gateway.adapter, request), Succeeded)
        assert await payment.deeds(Kind.REFUND) == [6000]

    async def test_a_void_by_another_operation_is_success(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        for _ in range(2):
            assert isinstance(await ask(gateway.adapter, payment.request(Kind.VOID)), Succeeded)
        assert len(await payment.deeds(Kind.VOID)) == 1


class TestExclusion:
    async def test_a_capture_after_a_void_is_declined(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        await gateway.adapter.send(payment.request(Kind.VOID))
        assert isinstance(await ask(gateway.adapter, payment.request(Kind.CAPTURE)), Declined)
        assert await payment.deeds(Kind.CAPTURE) == []

    async def test_a_void_after_a_capture_is_declined(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        await gateway.adapter.send(payment.request(Kind.CAPTURE))
        assert isinstance(await ask(gateway.adapter, payment.request(Kind.VOID)), Declined)
        assert await payment.deeds(Kind.VOID) == []

    async def test_a_capture_by_another_operation_is_no_success_of_this_one(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        await gateway.adapter.send(payment.request(Kind.CAPTURE))
        outcome = await ask(gateway.adapter, payment.request(Kind.CAPTURE))
        assert isinstance(outcome, Contradictory | UnderWay)
        assert len(await payment.deeds(Kind.CAPTURE)) == 1

    async def test_of_captures_and_voids_at_once_one_wins(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        requests = [payment.request(kind) for kind in (Kind.CAPTURE, Kind.VOID) for _ in range(5)]
        await asyncio.gather(*(gateway.adapter.send(request) for request in requests))
        assert len(await payment.deeds(Kind.CAPTURE)) + len(await payment.deeds(Kind.VOID)) == 1

    async def test_of_refunds_at_once_none_is_too_much(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.CHARGE)
        requests = [payment.request(Kind.REFUND, 6000) for _ in range(10)]
        outcomes = await asyncio.gather(*(gateway.adapter.send(request) for request in requests))
        assert sum(isinstance(outcome, Succeeded) for outcome in outcomes) == 1
        assert await payment.deeds(Kind.REFUND) == [6000]


class TestNotFound:
    async def test_a_refund_of_another_payment_says_nothing(self, gateway: Gateway) -> None:
        payment, other = await a_payment(gateway), await a_payment(gateway)
        await gateway.adapter.send(await other.prepared(Kind.REFUND))
        await payment.take(Kind.CHARGE)
        assert await gateway.adapter.find(payment.request(Kind.REFUND)) == NotFound()
