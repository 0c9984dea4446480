"""Every gateway does what is asked, once, and says so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from paybridge.payments.domain.gateway_answers import (
    Declined,
    NotFound,
    PartlyApproved,
    Pending,
    RateLimited,
    Succeeded,
    Unknown,
)
from paybridge.payments.domain.operation import Kind
from tests.payments.gateways.contract.asking import AMOUNT_MINOR, a_payment, ask
from tests.payments.gateways.contract.driver import Gateway, Money

pytestmark = pytest.mark.integration

KINDS = [Kind.CHARGE, Kind.AUTHORIZATION, Kind.CAPTURE, Kind.VOID, Kind.REFUND]
FIRST = [Kind.CHARGE, Kind.AUTHORIZATION]


class TestSuccess:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_operation_is_done_and_found(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        done = await gateway.adapter.send(request)
        assert isinstance(done, Succeeded)
        assert await payment.deeds(kind) == [AMOUNT_MINOR]
        found = await gateway.adapter.find(request)
        assert isinstance(found, Succeeded)
        assert found.gateway_id == done.gateway_id

    @pytest.mark.parametrize("kind", KINDS)
    async def test_the_same_request_again_changes_nothing(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        first, second = [await gateway.adapter.send(request) for _ in range(2)]
        assert isinstance(first, Succeeded)
        assert first == second
        assert len(await payment.deeds(kind)) == 1

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_operation_that_was_never_asked_for_is_not_found(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        assert await gateway.adapter.find(await payment.prepared(kind)) == NotFound()

    async def test_an_authorization_says_how_long_it_is_good(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        request = payment.request(Kind.AUTHORIZATION)
        for answer in (await gateway.adapter.send(request), await gateway.adapter.find(request)):
            assert isinstance(answer, Succeeded)
            assert answer.expires_at is not None
            assert answer.expires_at > datetime.now(UTC)

    async def test_a_capture_of_a_part_releases_the_rest(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        assert isinstance(await ask(gateway.adapter, payment.request(Kind.CAPTURE, 4000)), Succeeded)
        assert not isinstance(await ask(gateway.adapter, payment.request(Kind.CAPTURE, 1000)), Succeeded)
        assert await payment.deeds(Kind.CAPTURE) == [4000]

    async def test_refunds_stay_within_what_was_captured(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.AUTHORIZATION)
        await gateway.adapter.send(payment.request(Kind.CAPTURE, 5000))
        outcomes = [await ask(gateway.adapter, payment.request(Kind.REFUND, amount)) for amount in (3000, 3000, 2000)]
        assert [isinstance(outcome, Succeeded) for outcome in outcomes] == [True, False, True]
        assert sum(await payment.deeds(Kind.REFUND)) == 5000

    async def test_two_refunds_of_the_same_amount_are_two(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway)
        await payment.take(Kind.CHARGE)
        requests = [payment.request(Kind.REFUND, 3000) for _ in range(2)]
        done = [await gateway.adapter.send(request) for request in requests]
        assert [await gateway.adapter.find(request) for request in requests] == done
        assert len({answer.gateway_id for answer in done if isinstance(answer, Succeeded)}) == 2
        assert await payment.deeds(Kind.REFUND) == [3000, 3000]


class TestDeclines:
    @pytest.mark.parametrize("kind", FIRST)
    @pytest.mark.parametrize(
        ("money", "code"), [(Money.DECLINED, "card_declined"), (Money.WITHOUT_FUNDS, "insufficient_funds")]
    )
    async def test_a_declined_card(self, gateway: Gateway, kind: Kind, money: Money, code: str) -> None:
        payment = await a_payment(gateway, money)
        request = payment.request(kind)
        for _ in range(2):
            answer = await gateway.adapter.send(request)
            assert isinstance(answer, Declined)
            assert answer.failure_code == code
        found = await gateway.adapter.find(request)
        assert isinstance(found, Declined)
        assert found.failure_code == code
        assert await gateway.books(payment.id) == []

    @pytest.mark.parametrize(
        ("kind", "money"), [(Kind.CAPTURE, Money.CAPTURE_DECLINED), (Kind.REFUND, Money.REFUND_DECLINED)]
    )
    async def test_a_declined_capture_or_refund(self, gateway: Gateway, kind: Kind, money: Money) -> None:
        payment = await a_payment(gateway, money)
        request = await payment.prepared(kind)
        assert isinstance(await ask(gateway.adapter, request), Declined)
        assert isinstance(await gateway.adapter.find(request), Declined | NotFound)
        assert await payment.deeds(kind) == []

    async def test_an_authorization_is_released_after_a_declined_capture(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.CAPTURE_DECLINED)
        await ask(gateway.adapter, await payment.prepared(Kind.CAPTURE))
        assert isinstance(await ask(gateway.adapter, payment.request(Kind.VOID)), Succeeded)
        assert await payment.deeds(Kind.VOID) == [AMOUNT_MINOR]


class TestPartialApproval:
    @pytest.mark.parametrize(("kind", "undo"), [(Kind.CHARGE, Kind.REFUND), (Kind.AUTHORIZATION, Kind.VOID)])
    async def test_the_part_is_told_and_can_be_given_back(self, gateway: Gateway, kind: Kind, undo: Kind) -> None:
        payment = await a_payment(gateway, Money.IN_PART)
        request = payment.request(kind)
        answer = await gateway.adapter.send(request)
        assert isinstance(answer, PartlyApproved)
        assert 0 < answer.approved_minor < AMOUNT_MINOR
        assert await gateway.adapter.find(request) == answer
        assert await payment.deeds(kind) == [answer.approved_minor]
        payment.target = answer.gateway_id
        back = payment.request(undo, answer.approved_minor)
        assert isinstance(await ask(gateway.adapter, back), Succeeded)
        assert await payment.deeds(undo) == [answer.approved_minor]


class TestPending:
    @pytest.mark.parametrize("kind", FIRST)
    @pytest.mark.parametrize(("money", "ends"), [(Money.PENDING, Succeeded), (Money.PENDING_DECLINED, Declined)])
    async def test_it_is_pending_for_long_and_then_decided(
        self, gateway: Gateway, kind: Kind, money: Money, ends: type
    ) -> None:
        payment = await a_payment(gateway, money)
        request = payment.request(kind)
        assert isinstance(await gateway.adapter.send(request), Pending)
        for _ in range(2):
            assert isinstance(await gateway.adapter.find(request), Pending)
        assert await gateway.books(payment.id) == []
        await gateway.let_time_pass()
        assert isinstance(await ask(gateway.adapter, request, ask_first=True), ends)
        assert len(await payment.deeds(kind)) == (1 if ends is Succeeded else 0)


class TestLateFailure:
    async def test_a_refund_that_is_taken_back_is_declined_in_the_end(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.REFUND_TAKEN_BACK)
        request = await payment.prepared(Kind.REFUND)
        assert isinstance(await gateway.adapter.send(request), Succeeded)
        assert await payment.deeds(Kind.REFUND_REVERSAL) == []
        await gateway.let_time_pass()
        assert isinstance(await gateway.adapter.find(request), Declined)
        assert await payment.deeds(Kind.REFUND_REVERSAL) == [AMOUNT_MINOR]

    async def test_a_refund_that_was_recorded_late_is_found_by_the_gateways_id(self, gateway: Gateway) -> None:
        """It is recorded as a new operation. The gateway knows it by the id of the one that was given up."""
        payment = await a_payment(gateway, Money.REFUND_TAKEN_BACK)
        done = await gateway.adapter.send(await payment.prepared(Kind.REFUND))
        assert isinstance(done, Succeeded)
        late = payment.request(Kind.REFUND, gateway_id=done.gateway_id)
        assert await gateway.adapter.find(late) == done
        await gateway.let_time_pass()
        assert isinstance(await gateway.adapter.find(late), Declined)

    async def test_another_refund_of_the_same_payment_is_not_taken_back_with_it(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.REFUND_TAKEN_BACK)
        await payment.take(Kind.CHARGE)
        first, second = (payment.request(Kind.REFUND, 3000) for _ in range(2))
        assert isinstance(await gateway.adapter.send(first), Succeeded)
        await gateway.let_time_pass()
        assert isinstance(await gateway.adapter.send(second), Succeeded)
        assert isinstance(await gateway.adapter.find(first), Declined)
        assert isinstance(await gateway.adapter.find(second), Succeeded)


class TestExpiry:
    async def test_a_capture_after_expiry_is_declined_as_such(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.SHORT_HOLD)
        request = await payment.prepared(Kind.CAPTURE)
        await gateway.let_time_pass()
        outcome = await ask(gateway.adapter, request)
        assert isinstance(outcome, Declined)
        assert outcome.failure_code == "authorization_expired"
        assert await payment.deeds(Kind.CAPTURE) == []

    @pytest.mark.parametrize("ask_first", [False, True])
    async def test_a_hold_that_has_expired_counts_as_voided(self, gateway: Gateway, ask_first: bool) -> None:
        payment = await a_payment(gateway, Money.SHORT_HOLD)
        request = await payment.prepared(Kind.VOID)
        await gateway.let_time_pass()
        assert isinstance(await ask(gateway.adapter, request, ask_first), Succeeded)

    async def test_an_authorization_that_has_expired_was_still_given(self, gateway: Gateway) -> None:
        payment = await a_payment(gateway, Money.SHORT_HOLD)
        request = payment.request(Kind.AUTHORIZATION)
        done = await gateway.adapter.send(request)
        await gateway.let_time_pass()
        assert await gateway.adapter.find(request) == done


class TestAmounts:
    @pytest.mark.parametrize(
        ("currency", "places", "amount_minor"),
        [
            ("EUR", 2, 10050),
            ("JPY", 0, 10050),
            ("UGX", 0, 5000),
            ("ISK", 0, 1001),
            ("HUF", 2, 10050),
            ("TWD", 2, 30000),
            ("KWD", 3, 10500),
            ("BHD", 3, 1230),
        ],
    )
    async def test_the_gateway_takes_and_gives_back_exactly_the_amount(
        self, gateway: Gateway, currency: str, places: int, amount_minor: int
    ) -> None:
        payment = await a_payment(gateway, currency=currency, places=places, amount_minor=amount_minor)
        assert isinstance(await gateway.adapter.send(payment.request(Kind.AUTHORIZATION)), Succeeded)
        found = await gateway.adapter.find(payment.request(Kind.AUTHORIZATION))
        assert isinstance(found, Succeeded)
        payment.target = found.gateway_id
        capture = payment.request(Kind.CAPTURE, amount_minor // 10 * 10)
        refund = payment.request(Kind.REFUND, amount_minor // 100 * 10)
        for request in (capture, refund):
            assert isinstance(await gateway.adapter.send(request), Succeeded)
            assert isinstance(await gateway.adapter.find(request), Succeeded)
        books = await gateway.books(payment.id)
        assert [entry.currency for entry in books] == [currency] * 3
        assert [entry.amount_minor for entry in books] == [amount_minor, capture.amount_minor, refund.amount_minor]

    @pytest.mark.parametrize(("currency", "places"), [("UGX", 0), ("ISK", 0), ("HUF", 2), ("KWD", 3)])
    async def test_a_part_is_told_in_the_payments_units(self, gateway: Gateway, currency: str, places: int) -> None:
        payment = await a_payment(gateway, Money.IN_PART, currency=currency, places=places, amount_minor=10_000)
        answer = await gateway.adapter.send(payment.request(Kind.CHARGE))
        assert isinstance(answer, PartlyApproved)
        assert await payment.deeds(Kind.CHARGE) == [answer.approved_minor]


class TestLimits:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_limited_rate_does_nothing(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.limit_rate()
        assert isinstance(await gateway.adapter.send(request), RateLimited)
        assert await payment.deeds(kind) == []
        assert isinstance(await ask(gateway.adapter, request, ask_first=True), Succeeded)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_internal_error_without_a_deed(self, gateway: Gateway, kind: Kind) -> None:
        payment = await a_payment(gateway)
        request = await payment.prepared(kind)
        await gateway.fail()
        outcome = await ask(gateway.adapter, request)
        assert isinstance(outcome, Unknown)
        assert outcome.never_arrived
        assert await payment.deeds(kind) == []
