"""A Stripe on loopback, under test through its adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from local.testkit.loop_time import LoopTime
from local.testkit.stripe import account
from local.testkit.stripe.account import Movement
from local.testkit.stripe.server import API_KEY, FakeStripe, Fault, fake_stripe
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.stripe import StripeGateway
from tests.payments.gateways.contract.driver import ANSWER_SECONDS_MAX, Entry, Money

METHODS = {
    Money.GOOD: account.SUCCESS,
    Money.DECLINED: "pm_card_chargeDeclined",
    Money.WITHOUT_FUNDS: "pm_card_chargeDeclinedInsufficientFunds",
    Money.IN_PART: account.PARTIAL,
    Money.PENDING: account.SLOW,
    Money.PENDING_DECLINED: account.SLOW_FAILURE,
    Money.SHORT_HOLD: account.SHORT_HOLD,
    Money.CAPTURE_DECLINED: account.CAPTURE_DECLINED,
    Money.REFUND_DECLINED: account.REFUND_DECLINED,
    Money.REFUND_TAKEN_BACK: account.REFUND_FAILS,
}
# How many of Stripe's units make one of the payment's minor units, where that is not one.
STRIPE_UNITS = {"UGX": 100, "ISK": 100}


class FixedKey:
    """Stripe's secret key, which never changes."""

    def read(self) -> str:
        return API_KEY

    def read_again(self) -> str:
        return API_KEY


class StripeUnderTest:
    """See `driver.Gateway`. The levers are faults of the server, and the books are its account's movements."""

    def __init__(self, server: FakeStripe, time: LoopTime) -> None:
        self.adapter = StripeGateway(server.url, FixedKey(), ANSWER_SECONDS_MAX)
        self._server = server
        self._held = asyncio.Event()
        # A call that gets no answer times out at once.
        server.on_silence = lambda: time.move(ANSWER_SECONDS_MAX)

    async def method(self, money: Money) -> str | None:
        return METHODS[money]

    async def lose_request(self) -> None:
        self._server.faults.append(Fault.REQUEST_LOST)

    async def lose_answer(self) -> None:
        self._server.faults.append(Fault.ANSWER_LOST)

    async def hold(self) -> None:
        self._server.holds.append(self._held)

    async def release(self) -> None:
        self._held.set()

    async def fail(self) -> None:
        self._server.faults.append(Fault.ERROR_BEFORE)

    async def fail_after_the_deed(self) -> None:
        self._server.faults.append(Fault.ERROR_AFTER)

    async def limit_rate(self) -> None:
        self._server.faults.append(Fault.RATE_LIMITED)

    async def forget_keys(self) -> None:
        self._server.forget_keys()

    async def let_time_pass(self) -> None:
        self._server.account.let_time_pass()

    async def books(self, payment_id: UUID) -> Sequence[Entry]:
        intents = self._server.account.intents
        return [
            _entry(movement)
            for movement in self._server.account.movements
            if intents[movement.intent_id]["metadata"]["payment_id"] == str(payment_id)
        ]


def _entry(movement: Movement) -> Entry:
    units = STRIPE_UNITS.get(movement.currency, 1)
    assert movement.amount % units == 0
    return Entry(Kind(movement.kind), movement.amount // units, movement.currency)


@asynccontextmanager
async def stripe_gateway() -> AsyncIterator[StripeUnderTest]:
    """Run a Stripe for one test."""
    async with fake_stripe() as server:
        gateway = StripeUnderTest(server, LoopTime())
        yield gateway
        await gateway.adapter.close()
