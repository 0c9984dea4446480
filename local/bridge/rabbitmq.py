"""The RabbitMQ event source mapping: take batches of messages from a queue to a function, as Lambda's pollers do.

One batch at a time per mapping. The function's success acknowledges the whole batch, its failure returns the whole
batch to the queue. The mapping survives every outage of the broker.
"""

from __future__ import annotations

import asyncio
import logging
from binascii import a2b_base64
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import aiormq
import aiormq.abc
import orjson
from aiormq.exceptions import AMQPError
from yarl import URL

from infra.sam_template.definitions import FunctionDefinition, QueueEvent
from local.bridge.rabbitmq_events import BatchEvent, message_record
from local.lambda_host.model import PAYLOAD_BYTES_MAX, InvokeError, Invoker
from paybridge.core.errors import BrokerUnavailable
from paybridge.outbox.queues import DEAD_LETTER_QUEUES
from paybridge.rabbitmq.batch import Poison, dead_letter
from paybridge.rabbitmq.connecting import answered, close, handshake
from paybridge.rabbitmq.fast.deliveries import BrokerDelivery, DeliveriesFirst
from paybridge.rabbitmq.fast.properties import read_properties

logger = logging.getLogger(__name__)

# The broker must answer within this time. A silent broker counts as down.
_BROKER_SECONDS_MAX = 10.0
_HEARTBEAT_SECONDS = 10
# The first and the longest pause between two attempts to connect.
_RECONNECT_SECONDS_MIN = 0.2
_RECONNECT_SECONDS_MAX = 5.0
# After a failed batch, so that a function that cannot work is not invoked in a tight loop.
_FAILURE_PAUSE_SECONDS = 1.0
# How long a dead-letter queue is left to the jobs function, which looks each minute at what waits there. The broker
# would hand a returned message to this mapping again at once, so that nothing would ever wait.
_LEFT_TO_JOBS_SECONDS = 65.0
# A batch waits this long for an environment before it counts as throttled.
_THROTTLE_SECONDS_MAX = 5.0
# Beyond the function's own timeout: a cold start and the way there and back.
_INVOKE_MARGIN_SECONDS = 75.0


class TooLargeError(Exception):
    """A dead letter is too large for an invocation. Only a connection of the jobs function can take it."""


class BrokerAwayError(Exception):
    """The connection, the channel or the consumer has ended."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    tag: int
    record: bytes
    arrived_at: float


class _Inbox:
    """Delivered messages that no batch has taken yet, bounded by the prefetch count."""

    def __init__(self) -> None:
        self._deliveries: deque[_Arrived] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_empty(self) -> bool:
        """Return whether no message waits for a batch."""
        return not self._deliveries

    def on_delivery(self, delivery: BrokerDelivery) -> None:
        # To convert here spreads the work over the window instead of adding it to the batch.
        properties = read_properties(delivery.properties)
        record = message_record(properties, delivery.body, redelivered=delivery.redelivered)
        self._deliveries.append(_Arrived(delivery.tag, record, self._loop.time()))
        self._changed.set()

    def on_closed(self, *_: Any) -> None:
        self._closed = True
        self._changed.set()

    async def batch(self, size_max: int, bytes_max: int, window_seconds: Callable[[], float]) -> list[_Arrived]:
        """Return the next batch: a full one, or what is there when the first message has waited for the window.

        Raises BrokerAwayError once the broker is gone: its messages are on the queue again.
        """
        while not self._deliveries:
            await self._wait(None)
        due = self._deliveries[0].arrived_at + window_seconds()
        count, total_bytes = 0, 0
        while True:
            while count < min(len(self._deliveries), size_max):
                # Each record and its comma.
                total_bytes += len(self._deliveries[count].record) + 1
                if total_bytes > bytes_max and count:
                    return self._take(count)
                count += 1
            if count >= size_max or self._loop.time() >= due:
                return self._take(count)
            await self._wait(due)

    async def _wait(self, until: float | None) -> None:
        self._changed.clear()
        if not self._closed:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
        if self._closed:
            raise BrokerAwayError("the connection was closed")

    def _take(self, count: int) -> list[_Arrived]:
        return [self._deliveries.popleft() for _ in range(count)]


class QueueMapping:
    """One queue of one function."""

    def __init__(self, function: FunctionDefinition, event: QueueEvent, invoker: Invoker, broker_url: str) -> None:
        self._function = function
        self._event = event
        self._invoker = invoker
        url = URL(broker_url)
        # A virtual host in the broker's URL wins: the queues are there.
        self._vhost = unquote(url.raw_path[1:]) or event.vhost
        path = f"/{quote(self._vhost, safe='')}"
        self._url = url.with_path(path, encoded=True).update_query(heartbeat=_HEARTBEAT_SECONDS)
        self._place = f"{url.host}:{url.port}"
        # Set once the queue has been consumed for the first time.
        self.begun = asyncio.Event()
        # Set while the test clock advances: a batch then waits for no more messages.
        self.is_hurried = False
        self._inbox: _Inbox | None = None
        self._is_invoking = False
        self._frame = BatchEvent(event.broker_arn, event.queue, self._vhost)

    @property
    def is_idle(self) -> bool:
        """Return whether no message is at hand, neither in the function nor before it."""
        return not self._is_invoking and (self._inbox is None or self._inbox.is_empty)

    async def run(self) -> None:
        """Serve the queue until cancelled. Wait for a broker that is down, however long that takes."""
        pause_seconds = _RECONNECT_SECONDS_MIN
        announced = False
        while True:
            try:
                inbox = self._inbox = _Inbox()
                async with self._consuming(inbox) as channel:
                    logger.info("Queue %s: consuming from %s.", self._event.queue, self._place)
                    pause_seconds, announced = _RECONNECT_SECONDS_MIN, False
                    self.begun.set()
                    await self._serve(inbox, channel)
            except TooLargeError as error:
                logger.error("Queue %s: %s: left to the jobs function.", self._event.queue, error)  # noqa: TRY400
                await asyncio.sleep(_LEFT_TO_JOBS_SECONDS)
                continue
            except (BrokerAwayError, BrokerUnavailable, AMQPError) as error:
                reason = str(error) or type(error).__name__
            if not announced:
                level = logging.WARNING if self.begun.is_set() else logging.INFO
                logger.log(
                    level, "Queue %s: no broker at %s (%s). Trying again.", self._event.queue, self._place, reason
                )
                announced = True
            await asyncio.sleep(pause_seconds)
            if self.begun.is_set():
                # A broker that was never up is still starting and is tried often.
                pause_seconds = min(2 * pause_seconds, _RECONNECT_SECONDS_MAX)

    @asynccontextmanager
    async def _consuming(self, inbox: _Inbox) -> AsyncIterator[aiormq.abc.AbstractChannel]:
        """Yield a channel, on a new connection, whose consumer fills the inbox. Raises BrokerUnavailable, AMQPError."""
        connection = aiormq.Connection(self._url, transport_factory=DeliveriesFirst(inbox.on_delivery))
        try:
            await handshake(connection.connect(), self._place, _BROKER_SECONDS_MAX)
            channel = await answered(connection.channel(publisher_confirms=False))
            channel.closing.add_done_callback(inbox.on_closed)
            channel.on_consumer_cancel_callbacks.add(inbox.on_closed)
            await answered(channel.basic_qos(prefetch_count=self._event.batch_size))
            await answered(channel.basic_consume(self._event.queue, _never_called))
            yield channel
        finally:
            await close(connection)

    async def _serve(self, inbox: _Inbox, channel: aiormq.abc.AbstractChannel) -> None:
        bytes_max = PAYLOAD_BYTES_MAX - self._frame.size_bytes
        while True:
            self._is_invoking = False
            batch = await inbox.batch(self._event.batch_size, bytes_max, self._window_seconds)
            self._is_invoking = True
            # A message that is too large always gets its own batch.
            is_too_large = len(batch[0].record) > bytes_max
            if is_too_large and self._event.queue in DEAD_LETTER_QUEUES:
                # Closing the connection returns it, with all that the inbox holds.
                raise TooLargeError("a message is too large for an invocation")
            succeeded = await (
                self._dead_letter(batch[0]) if is_too_large else self._invoke([delivery.record for delivery in batch])
            )
            if succeeded:
                await answered(channel.basic_ack(batch[-1].tag, multiple=True))
            else:
                await answered(channel.basic_nack(batch[-1].tag, multiple=True, requeue=True))
            if not succeeded:
                await asyncio.sleep(_FAILURE_PAUSE_SECONDS)

    def _window_seconds(self) -> float:
        return 0.0 if self.is_hurried else self._event.window_seconds

    async def _dead_letter(self, message: _Arrived) -> bool:
        """Hand the message over to the dead letters and return whether the broker has taken it there.

        Lambda takes no record beyond its limit. Returned to the queue, the message would come back each second, and for
        ever where the broker does not count returns, as from RabbitMQ 4.3 on.
        """
        record = orjson.loads(message.record)
        body = a2b_base64(record["data"])
        reason = f"too large for an invocation: {len(body)} bytes"
        poison = Poison(self._event.queue, record["basicProperties"]["messageId"] or "", body, reason)
        try:
            await dead_letter(str(self._url), [poison])
        except BrokerUnavailable as error:
            logger.warning("Queue %s: a message is %s, and stays: %s", self._event.queue, reason, error)
            return False
        logger.error("Queue %s: a message is dead-lettered: %s", self._event.queue, reason)
        return True

    async def _invoke(self, records: list[bytes]) -> bool:
        """Invoke the function with a batch and return whether it succeeded."""
        try:
            async with asyncio.timeout(self._function.timeout_seconds + _INVOKE_MARGIN_SECONDS):
                result = await self._invoker.invoke(
                    self._function.logical_id, self._frame.payload(records), wait_seconds_max=_THROTTLE_SECONDS_MAX
                )
        except (InvokeError, TimeoutError) as error:
            reason = repr(error)
        else:
            if result.function_error is None:
                return True
            reason = result.payload.decode(errors="replace")[:500]
        logger.error(
            "Queue %s: a batch of %d failed and returns to the queue: %s", self._event.queue, len(records), reason
        )
        return False


async def _never_called(_: aiormq.abc.DeliveredMessage) -> None:
    """Fail: aiormq would call this, but the messages are taken before it sees them."""
    raise AssertionError("A message was delivered twice.")


def queue_mappings(functions: list[FunctionDefinition], invoker: Invoker, broker_url: str) -> list[QueueMapping]:
    """Return the mapping of every enabled MQ event."""
    return [
        QueueMapping(function, event, invoker, broker_url)
        for function in functions
        for event in function.queues
        if event.enabled
    ]
