"""Waiting for a payment to settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.database import Database
from paybridge.payments.domain.payment import SETTLED, Payment
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store import waits

POLL_SECONDS_MIN: Final = 0.025
POLL_SECONDS_MAX: Final = 0.25
POLL_GROWTH: Final = 1.5
# The last look at the payment comes after the wait.
WAIT_MARGIN_SECONDS: Final = 2

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """A payment, None when it is not found, and whether the wait was granted if there was one to grant."""

    payment: Payment | None
    granted: bool


@dataclass(frozen=True, slots=True)
class WaitForPayment:
    """Waits for payments, on behalf of `waits_max` requests at once over all environments.

    A request that waits holds its environment. Without a bound, as many waiting readers as there are environments
    would keep every new payment out.
    """

    database: Database
    clock: Clock
    sleep: Sleep
    waits_max: int

    async def __call__(self, merchant_id: UUID, payment_id: UUID, wait_seconds: float) -> WaitedFor:
        """The payment as soon as it has settled, or as it stands after `wait_seconds`, or at once when as many others
        are waiting as may. Raises DatabaseUnavailable.

        Asks at growing intervals rather than by LISTEN, which would pin a pooled connection.
        """
        payment = payment_queries.get(self.database, merchant_id, payment_id)
        if payment is None or payment.status in SETTLED or wait_seconds <= 0:
            return WaitedFor(payment, granted=True)
        wait = waits.take(self.database, self.waits_max, wait_seconds + WAIT_MARGIN_SECONDS)
        if wait is None:
            return WaitedFor(payment, granted=False)
        try:
            return WaitedFor(await self._until_settled(merchant_id, payment_id, wait_seconds), granted=True)
        finally:
            # Without the database it ends by itself, in its time.
            with suppress(DatabaseUnavailable):
                waits.give_back(self.database, wait)

    async def _until_settled(self, merchant_id: UUID, payment_id: UUID, wait_seconds: float) -> Payment | None:
        deadline = self.clock.now() + timedelta(seconds=wait_seconds)
        pause_seconds = POLL_SECONDS_MIN
        while True:
            await self.sleep(min(pause_seconds, max(0.0, (deadline - self.clock.now()).total_seconds())))
            payment = payment_queries.get(self.database, merchant_id, payment_id)
            if payment is None or payment.status in SETTLED or self.clock.now() >= deadline:
                return payment
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)
