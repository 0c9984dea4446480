"""Connect to whatever listens at the broker's address, and wait for its answers within a bound.

A proxy accepts connections for a broker that is down, and closes them. Another program may listen on the port. aiormq
fails in many ways then, with StopAsyncIteration, KeyError and a bare Exception among them, and no list of them would be
complete. So every exception of a step means BrokerUnavailable here, except what a broker says by AMQP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Protocol, TypeVar

from aiormq.exceptions import AMQPError

from paybridge.core.errors import BrokerLoginRefused, BrokerUnavailable
from paybridge.rabbitmq.logins import REFUSALS

CONNECT_DEADLINE_SECONDS = 5.0
CLOSE_DEADLINE_SECONDS = 2.0
HEARTBEAT_SECONDS = 20
# Every answer of the broker is waited for this long at most; a silent broker counts as away.
ANSWER_DEADLINE_SECONDS = 10.0

_Result = TypeVar("_Result")


class Closable(Protocol):
    """A connection of aiormq or aio-pika."""

    def close(self) -> Awaitable[object]:
        """Close the connection."""
        ...


async def handshake(step: Awaitable[object], place: str, deadline_seconds: float = CONNECT_DEADLINE_SECONDS) -> None:
    """Carry out the step that connects and logs in. Raises BrokerLoginRefused and BrokerUnavailable."""
    try:
        await answered(step, deadline_seconds)
    except REFUSALS as error:
        raise BrokerLoginRefused(f"The broker at {place} refuses the login.") from error
    except (AMQPError, BrokerUnavailable) as error:
        cause = error.__cause__ if isinstance(error, BrokerUnavailable) else error
        raise BrokerUnavailable(f"Cannot reach the broker at {place}: {type(cause).__name__}.") from error


async def answered(step: Awaitable[_Result], deadline_seconds: float = ANSWER_DEADLINE_SECONDS) -> _Result:
    """Return the broker's answer. Raises AMQPError, and BrokerUnavailable if none comes or the connection breaks."""
    try:
        async with asyncio.timeout(deadline_seconds):
            return await step
    except (Exception, asyncio.CancelledError) as error:
        # aiormq cancels its waiters when a connection breaks, and may turn the cancellation of a task into an error.
        # What was asked of the task is what counts.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise asyncio.CancelledError from error
        if isinstance(error, AMQPError | BrokerUnavailable):
            raise
        if isinstance(error, TimeoutError):
            raise BrokerUnavailable("The broker does not answer.") from error
        raise BrokerUnavailable(f"The connection to the broker was lost: {type(error).__name__}.") from error


async def close(connection: Closable) -> None:
    """Close the connection, cleanly if the broker is still there."""
    with suppress(AMQPError, BrokerUnavailable):
        await answered(connection.close(), CLOSE_DEADLINE_SECONDS)
