"""Waiting for a payment to settle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final
from uuid import UUID

from paybridge.domain.payment import SETTLED, Payment
from paybridge.ports import Clock
from paybridge.store import payment_queries
from paybridge.store.database import Database

POLL_SECONDS_MIN: Final = 0.025
POLL_SECONDS_MAX: Final = 0.25
POLL_GROWTH: Final = 1.5

Sleep = Callable[[float], Awaitable[None]]


async def wait_for_payment(
    database: Database, clock: Clock, sleep: Sleep, *, merchant_id: UUID, payment_id: UUID, wait_seconds: float
) -> Payment | None:
    """The payment as soon as it has settled, or as it stands after `wait_seconds`; None when it is not found.

    Asks at growing intervals rather than by LISTEN, which would pin a pooled connection. Raises DatabaseUnavailable.
    """
    deadline = clock.now() + timedelta(seconds=wait_seconds)
    pause_seconds = POLL_SECONDS_MIN
    while True:
        payment = payment_queries.get(database, merchant_id, payment_id)
        remaining_seconds = (deadline - clock.now()).total_seconds()
        if payment is None or payment.status in SETTLED or remaining_seconds <= 0:
            return payment
        await sleep(min(pause_seconds, remaining_seconds))
        pause_seconds = min(pause_seconds * POLL_GROWTH, POLL_SECONDS_MAX)
