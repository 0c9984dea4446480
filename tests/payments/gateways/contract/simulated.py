"""The simulated gateway, in its own process, under test through the HTTP adapter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import httpx

from paybridge.payments.domain.gateway_answers import GatewayAnswer
from paybridge.payments.domain.operation import Kind
from paybridge.payments.gateways.http import HttpGateway
from paybridge.payments.ports import GatewayRequest
from tests.payments.gateways.contract.driver import ANSWER_SECONDS_MAX, Entry, Money

DAY_SECONDS = 86_400.0
# Beyond every delay that the tests give the gateway, and far below a day.
PENDING_SECONDS = 3600.0
# An answer that never comes is waited for in full, and before that the gateway has to receive the request.
SILENCE_SECONDS = 2.0

METHODS = {
    Money.GOOD: "tok_success",
    Money.DECLINED: "tok_decline",
    Money.WITHOUT_FUNDS: "tok_insufficient_funds",
    Money.IN_PART: "tok_partial",
    Money.PENDING: "tok_pending",
    Money.PENDING_DECLINED: "tok_pending",
    Money.SHORT_HOLD: "tok_authorization_expires",
    Money.CAPTURE_DECLINED: "tok_capture_declined",
    Money.REFUND_DECLINED: "tok_refund_declined",
    Money.REFUND_TAKEN_BACK: "tok_refund_reversed",
}


class ImpatientOnceAdapter(HttpGateway):
    """The adapter under test, which waits briefly for the one answer that it is told not to expect."""

    def __init__(self, url: str) -> None:
        super().__init__(url, ANSWER_SECONDS_MAX)
        self._impatient = HttpGateway(url, SILENCE_SECONDS)
        self.expects_silence = False

    async def send(self, request: GatewayRequest) -> GatewayAnswer:
        if not self.expects_silence:
            return await super().send(request)
        self.expects_silence = False
        return await self._impatient.send(request)

    async def close(self) -> None:
        await self._impatient.close()
        await super().close()


class SimulatedGateway:
    """See `driver.Gateway`. The levers are controls of the gateway, and the books are its log."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self.adapter = ImpatientOnceAdapter(url)
        self._client = client

    async def prepare(self) -> None:
        """Answer as strictly as gateways do, without faults."""
        await self._control(
            busy_status=422, unknown_status=404, pending_seconds=PENDING_SECONDS, faults=[], holding=False
        )

    async def method(self, money: Money) -> str | None:
        await self._control(pending_declines=money is Money.PENDING_DECLINED)
        return METHODS[money]

    async def lose_request(self) -> None:
        await self._fall_silent(faults=["lost_request"])

    async def lose_answer(self) -> None:
        await self._fall_silent(faults=["lost_answer"])

    async def hold(self) -> None:
        await self._fall_silent(faults=["held"], holding=True)

    async def release(self) -> None:
        await self._control(holding=False)

    async def fail(self) -> None:
        await self._control(faults=["error"])

    async def fail_after_the_deed(self) -> None:
        await self._control(faults=["error_done"])

    async def limit_rate(self) -> None:
        await self._control(faults=["rate_limited"])

    async def forget_keys(self) -> None:
        await self._move_clock(DAY_SECONDS)

    async def let_time_pass(self) -> None:
        await self._move_clock(PENDING_SECONDS)

    async def books(self, payment_id: UUID) -> Sequence[Entry]:
        answer = await self._client.get("/charges", params={"reference": str(payment_id)})
        records = [] if answer.status_code == 404 else answer.raise_for_status().json()
        return [
            Entry(Kind(record["kind"]), record["amount_minor"], record["currency"])
            for record in records
            if record["status"] == "succeeded"
        ]

    async def _fall_silent(self, **changes: Any) -> None:
        self.adapter.expects_silence = True
        await self._control(**changes)

    async def _move_clock(self, seconds: float) -> None:
        ahead_seconds = (await self._control())["ahead_seconds"]
        await self._control(ahead_seconds=ahead_seconds + seconds)

    async def _control(self, **changes: Any) -> dict[str, Any]:
        answer = await self._client.post("/_control", json=changes)
        return dict(answer.raise_for_status().json())


@asynccontextmanager
async def simulated_gateway(url: str) -> AsyncIterator[SimulatedGateway]:
    """Put the running gateway at `url` under test."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        gateway = SimulatedGateway(url, client)
        await gateway.prepare()
        yield gateway
        await gateway.adapter.close()
