"""Wait for a payment to settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.database import Database
from paybridge.payments.domain.payment import SETTLED, Payment
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store import waits

POLL_SECONDS_MIN = 0.025
POLL_SECONDS_MAX = 0.25
POLL_GROWTH = 1.5
# The payment is read once more after the wait.
WAIT_MARGIN_SECONDS = 2

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """A payment, None if it is not found. `granted` is False if the request was not allowed to wait."""

    payment: Payment | None
    granted: bool


@dataclass(frozen=True, slots=True)
class WaitForPayment:
    """Waits for payments, for at most `waits_max` requests at a time over all environments.

    A waiting request occupies its environment. Without a bound, as many waiting readers as there are environments would
    block every new payment.
    """

    database: Database
    clock: Clock
    sleep: Sleep
    waits_max: int

    async def __call__(self, merchant_id: UUID, payment_id: UUID, wait_seconds: float) -> WaitedFor:
        """Return the payment once it has settled, or as it is after `wait_seconds`.

        Return at once if `waits_max` requests are waiting already. The payment is polled at growing intervals: LISTEN
        would pin a pooled connection. Raises DatabaseUnavailable.
        """
        payment = payment_queries.get(self.database, merchant_id, payment_id)
        if payment is None or payment.status in SETTLED or wait_seconds <= 0:
            return WaitedFor(payment, granted=True)
        slot = waits.take(self.database, self.waits_max, wait_seconds + WAIT_MARGIN_SECONDS)
        if slot is None:
            return WaitedFor(payment, granted=False)
        try:
            return WaitedFor(await self._until_settled(merchant_id, payment_id, wait_seconds), granted=True)
        finally:
            # Without the database the slot is free again at its end.
            with suppress(DatabaseUnavailable):
                waits.release(self.database, slot)

    async def _until_settled(self, merchant_id: UUID, payment_id: UUID, wait_seconds: float) -> Payment | None:
        deadline = self.clock.now() + timedelta(seconds=wait_seconds)
        pause_seconds = POLL_SECONDS_MIN
        slept_seconds = 0.0
        while True:
            pause_seconds = min(pause_seconds, max(0.0, (deadline - self.clock.now()).total_seconds()))
            await self.sleep(pause_seconds)
            slept_seconds += pause_seconds
            payment = payment_queries.get(self.database, merchant_id, payment_id)
            # A clock that is set back during the wait must not prolong it.
            is_over = self.clock.now() >= deadline or slept_seconds >= wait_seconds
            if payment is None or payment.status in SETTLED or is_over:
                return payment
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)
