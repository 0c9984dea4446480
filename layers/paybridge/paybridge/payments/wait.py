"""Wait until a payment, or what belongs to it, has settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar
from uuid import UUID

from paybridge.core.clock import Clock
from paybridge.core.errors import DatabaseUnavailable
from paybridge.database.database import Database
from paybridge.payments.domain.payment import Payment, is_settled
from paybridge.payments.store import queries as payment_queries
from paybridge.payments.store import waits

POLL_SECONDS_MIN = 0.025
POLL_SECONDS_MAX = 0.25
POLL_GROWTH = 1.5
# The payment is read once more after the wait.
WAIT_MARGIN_SECONDS = 2

Sleep = Callable[[float], Awaitable[None]]
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class WaitedFor(Generic[Found]):
    """What was waited for, None if it is not found. `granted` is False if the request was not allowed to wait."""

    found: Found | None
    granted: bool


@dataclass(frozen=True, slots=True)
class Waiter:
    """Waits, for at most `waits_max` requests at a time over all environments.

    A waiting request occupies its environment. Without a bound, as many waiting readers as there are environments would
    block every new payment.
    """

    database: Database
    clock: Clock
    sleep: Sleep
    waits_max: int

    async def until(
        self, is_over: Callable[[Found], bool], read: Callable[[], Found | None], wait_seconds: float
    ) -> WaitedFor[Found]:
        """Return what `read` finds once it `is_over`, or as it is after `wait_seconds`.

        Return at once if nothing is found, or if `waits_max` requests are waiting already. `read` is called at growing
        intervals: LISTEN would pin a pooled connection. Raises DatabaseUnavailable.
        """
        found = read()
        if found is None or is_over(found) or wait_seconds <= 0:
            return WaitedFor(found, granted=True)
        slot = waits.take(self.database, self.waits_max, wait_seconds + WAIT_MARGIN_SECONDS)
        if slot is None:
            return WaitedFor(found, granted=False)
        try:
            found = await self._poll(is_over, read, wait_seconds)
            return WaitedFor(found, granted=True)
        finally:
            # Without the database the slot is free again at its end.
            with suppress(DatabaseUnavailable):
                waits.release(self.database, slot)

    async def _poll(
        self, is_over: Callable[[Found], bool], read: Callable[[], Found | None], wait_seconds: float
    ) -> Found | None:
        deadline = self.clock.now() + timedelta(seconds=wait_seconds)
        pause_seconds = POLL_SECONDS_MIN
        slept_seconds = 0.0
        while True:
            pause_seconds = min(pause_seconds, max(0.0, (deadline - self.clock.now()).total_seconds()))
            await self.sleep(pause_seconds)
            slept_seconds += pause_seconds
            found = read()
            # A clock that is set back during the wait must not prolong it.
            is_late = self.clock.now() >= deadline or slept_seconds >= wait_seconds
            if found is None or is_over(found) or is_late:
                return found
            pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)


async def wait_for_payment(
    waiter: Waiter, merchant_id: UUID | None, payment_id: UUID, wait_seconds: float
) -> WaitedFor[Payment]:
    """Return the merchant's payment once it has settled, or as it is after `wait_seconds`; see `Waiter.until`."""
    return await waiter.until(
        is_settled, lambda: payment_queries.get(waiter.database, merchant_id, payment_id), wait_seconds
    )
