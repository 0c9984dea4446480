"""Relays an outbox two batches at a time and is killed at a point of its work: run by test_relay_killed."""

from __future__ import annotations

import asyncio
import inspect
import math
import os
import signal
import sys
from typing import Any

from local.testkit.servers import address_of
from paybridge.core.errors import Unavailable
from paybridge.database.database import Database, Session
from paybridge.outbox import store as outbox
from paybridge.outbox.drain import Drain, drain_outbox
from paybridge.outbox.relay import Refusal, Relayed
from paybridge.rabbitmq.fast.confirms import ConfirmChannel
from paybridge.rabbitmq.publisher import RabbitPublisher, open_publisher

BATCH_ROWS = 20
# The call after which the relay dies, and which occurrence of it. The fifth of each has another batch beside it.
POINTS: dict[str, tuple[Any, str, int]] = {
    "connected": (RabbitPublisher, "connect", 1),
    "claimed": (outbox, "claim", 5),
    "sent": (ConfirmChannel, "send", 5),
    "confirmed": (RabbitPublisher, "publish", 5),
    "marked": (outbox, "mark_published", 5),
    "asleep": (Session, "listen", 1),
}


class Silent:
    """An observer that only wants things to go well."""

    def relayed(self, relayed: Relayed) -> None:
        pass

    def refused(self, refusal: Refusal) -> None:
        raise AssertionError(refusal)

    def outage(self, error: Unavailable) -> None:
        raise AssertionError(error)


def make_deadly(owner: Any, name: str, times: int) -> None:
    """Lets the process end, as if its machine had lost power, when the function has returned so many times."""
    function = getattr(owner, name)
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)

    async def later(*arguments: Any) -> Any:
        result = await function(*arguments)
        count()
        return result

    def at_once(*arguments: Any) -> Any:
        result = function(*arguments)
        count()
        return result

    setattr(owner, name, later if inspect.iscoroutinefunction(function) else at_once)


async def main(database_url: str, amqp_url: str, point: str) -> None:
    make_deadly(*POINTS[point])
    await drain_outbox(
        Drain(
            database=Database(address_of(database_url)),
            open_publisher=lambda: open_publisher(amqp_url),
            batch_rows=BATCH_ROWS,
            idle_poll_seconds_max=60,
            remaining_seconds=lambda: math.inf,
            observer=Silent(),
        )
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
