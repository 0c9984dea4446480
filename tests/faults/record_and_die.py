"""Record a dead-letter queue and die at the step that is named; test_dead_letters_killed runs this."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from local.testkit.servers import address_of
from paybridge import wiring
from paybridge.core.raw_messages import RawMessage
from paybridge.database.database import Database
from paybridge.dead_letters import record
from paybridge.rabbitmq.subscription import Subscription, TakenMessage
from paybridge.runners import dead_letters
from paybridge.wiring import broker
from paybridge.worker.queues import QueueWork, work_queues

STEPS = ("taken", "begun", "written", "committed")


def die() -> None:
    """End the process as if its machine had lost power."""
    os.kill(os.getpid(), signal.SIGKILL)


def plant(step: str) -> None:
    """Make the process die at the step."""
    original: Callable[..., Any] = record.recording.record

    async def taken(messages: Sequence[RawMessage], seconds: float) -> dict[str, int]:
        die()
        return {}

    async def committed(subscription: Subscription, last: TakenMessage) -> None:
        die()

    def begun(*arguments: Any) -> Any:
        die()

    def written(*arguments: Any) -> Any:
        original(*arguments)
        die()

    if step == "taken":
        dead_letters.handle = taken
    elif step == "committed":
        Subscription.acknowledge = committed  # type: ignore[method-assign]
    else:
        record.recording.record = {"begun": begun, "written": written}[step]


def main(database_url: str, amqp_url: str, step: str) -> None:
    database = Database(address_of(database_url))
    wiring.database = lambda *_: database  # type: ignore[assignment]
    broker.rabbitmq_url = lambda: amqp_url
    plant(step)
    work = QueueWork(
        queues=("payments.dead",),
        batch_messages=dead_letters.BATCH_MESSAGES,
        handle=lambda messages, seconds: dead_letters.handle(broker.raw_messages_of(messages), seconds),
    )
    asyncio.run(work_queues(work, asyncio.Event()))


if __name__ == "__main__":
    main(*sys.argv[1:])
