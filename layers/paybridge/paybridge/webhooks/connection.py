"""One HTTP/1.1 connection to a receiver, and those that are kept for the next webhook."""

from __future__ import annotations

import asyncio
import select
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from paybridge.webhooks.domain.answer import (
    Framing,
    StatusLine,
    framing,
    header_values,
    parse_chunk_size,
    parse_status_line,
)

# Of everything before the body, interim answers included. Beyond it the status line alone counts.
HEAD_BYTES_MAX = 64 * 1024
RESPONSE_BYTES_MAX = 64 * 1024
EXCERPT_BYTES_MAX = 1024
RETRY_AFTER_LENGTH_MAX = 64
# How long to read on once the status line has come. Headers and body decide nothing about the delivery.
REST_SECONDS_MAX = 1.0
# Receivers close idle connections after 5 s or more.
KEEPALIVE_SECONDS = 2.0
# More than attempts run at once on the fast lane: with as many, those that are next rarely go where those before went.
KEPT_MAX = 300

_Key = TypeVar("_Key")


class NotHttp(Exception):
    """The receiver's answer does not begin with a status line of HTTP."""


class ConnectionEnded(Exception):
    """The connection ended before the answer that was read. `is_silent`: not one byte of it came."""

    def __init__(self, *, is_silent: bool) -> None:
        super().__init__("the receiver closed the connection")
        self.is_silent = is_silent


@dataclass(slots=True)
class ReceiverAnswer:
    """What has arrived of an answer; `status` is None until its status line has come."""

    status: int | None = None
    retry_after: str | None = None
    beginning: bytes = b""
    is_complete: bool = False


@dataclass(slots=True)
class _Budget:
    """How many more bytes may be read."""

    left: int


class ReceiverConnection(asyncio.Protocol):
    """A connection on which one request at a time waits for its answer."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._is_ended = False
        self._is_paused = False
        self._is_waited_for = False
        self._has_answered = False
        self._waiter: asyncio.Future[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Keep what has arrived; close a connection on which something comes that was not asked for."""
        if not self._is_waited_for:
            self.close()
            return
        self._has_answered = True
        self._buffer += data
        if len(self._buffer) > RESPONSE_BYTES_MAX and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note the end, and let the transport close."""
        self._is_ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note the end. Whatever has arrived before it counts."""
        self._is_ended = True
        self._wake()

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is left over, unsent or unread, and nothing closed, as far as was read."""
        return (
            not self._is_ended
            and not self._buffer
            and self._transport is not None
            and not self._transport.is_closing()
            # A receiver that answered early may never read the rest of the request before.
            and self._transport.get_write_buffer_size() == 0
        )

    @property
    def is_usable(self) -> bool:
        """Return whether a request may be sent: it is idle, and nothing waits to be read."""
        return self.is_idle and self._transport is not None and not _is_readable(self._transport)

    def close(self) -> None:
        """Close the connection at once."""
        self._is_ended = True
        if self._expiry is not None:
            self._expiry.cancel()
        if self._transport is not None:
            self._transport.abort()

    def keep(self, seconds: float, drop: Callable[[], None]) -> None:
        """Call `drop` unless the connection is used within this time."""
        self._expiry = self._loop.call_later(seconds, drop)

    async def exchange(self, request: bytes, answer: ReceiverAnswer) -> None:
        """Send the request and read its answer into `answer`, which tells what had come if this is interrupted.

        Return once the status line has come and the rest was read or waited for long enough. Raises NotHttp and
        ConnectionEnded.
        """
        if self._expiry is not None:
            self._expiry.cancel()
        self._is_waited_for, self._has_answered = True, False
        assert self._transport is not None
        self._transport.write(request)
        head = _Budget(HEAD_BYTES_MAX)
        status = await self._status_line(head)
        while status.is_interim:
            await self._headers(head)
            status = await self._status_line(head)
        answer.status = status.status
        try:
            async with asyncio.timeout(REST_SECONDS_MAX):
                await self._read_rest(status, head, answer)
        except (ConnectionEnded, TimeoutError):
            return
        self._is_waited_for = False

    async def _status_line(self, head: _Budget) -> StatusLine:
        line = await self._line(head)
        # Some servers end the body before with one line end too many.
        while not line:
            line = await self._line(head)
        status = parse_status_line(line)
        if status is None:
            raise NotHttp
        return status

    async def _headers(self, head: _Budget) -> list[bytes]:
        lines: list[bytes] = []
        while line := await self._line(head):
            lines.append(line)
        return lines

    async def _read_rest(self, status: StatusLine, head: _Budget, answer: ReceiverAnswer) -> None:
        lines = await self._headers(head)
        for value in header_values(lines, b"retry-after")[:1]:
            answer.retry_after = value.decode("latin-1")[:RETRY_AFTER_LENGTH_MAX]
        frame = framing(status, lines)
        is_whole = await self._read_body(frame, answer)
        answer.is_complete = is_whole and frame.can_keep

    async def _read_body(self, frame: Framing, answer: ReceiverAnswer) -> bool:
        """Read the body, or as much as is wanted of it, and return whether it was read to its end."""
        budget = _Budget(RESPONSE_BYTES_MAX)
        if not frame.is_chunked:
            return await self._read_bytes(frame.length, budget, answer)
        while True:
            size = parse_chunk_size(await self._line(budget))
            if size is None:
                return False
            if size == 0:
                await self._headers(budget)
                return True
            if not await self._read_bytes(size, budget, answer):
                return False
            await self._line(budget)

    async def _read_bytes(self, count: int | None, budget: _Budget, answer: ReceiverAnswer) -> bool:
        """Read so many bytes, or if unknown all that come; return whether all were read."""
        left = count
        while left != 0:
            if not self._buffer:
                await self._more()
            taken = bytes(self._buffer[: budget.left if left is None else min(left, budget.left)])
            if not taken:
                return False
            del self._buffer[: len(taken)]
            budget.left -= len(taken)
            left = None if left is None else left - len(taken)
            answer.beginning = (answer.beginning + taken)[:EXCERPT_BYTES_MAX]
        return True

    async def _line(self, budget: _Budget) -> bytes:
        """Return the next line without its end."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > budget.left:
                raise ConnectionEnded(is_silent=False)
            await self._more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        budget.left -= end + 1
        if budget.left < 0:
            raise ConnectionEnded(is_silent=False)
        return line.removesuffix(b"\r")

    async def _more(self) -> None:
        """Wait until more has arrived. Raises ConnectionEnded."""
        before = len(self._buffer)
        if self._is_paused and self._transport is not None and not self._is_ended:
            self._is_paused = False
            self._transport.resume_reading()
        while len(self._buffer) == before:
            if self._is_ended:
                raise ConnectionEnded(is_silent=not self._has_answered)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _is_readable(transport: asyncio.Transport) -> bool:
    """Return whether the socket holds what the event loop has not read yet: the end, or an answer not asked for.

    Such an answer would be taken for the answer to the next request.
    """
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


class KeptConnections(Generic[_Key]):
    """Idle connections by what they may be used for again. The oldest goes when there are KEPT_MAX."""

    def __init__(self) -> None:
        # Dictionaries, because they keep the order and find a connection at once.
        self._kept: defaultdict[_Key, dict[ReceiverConnection, None]] = defaultdict(dict)
        self._keys: dict[ReceiverConnection, _Key] = {}

    def take(self, key: _Key) -> ReceiverConnection | None:
        """Return a connection that can be used, the last kept first."""
        while kept := self._kept.get(key):
            connection = next(reversed(kept))
            self._forget(connection)
            if connection.is_usable:
                return connection
            connection.close()
        return None

    def put(self, key: _Key, connection: ReceiverConnection) -> None:
        """Keep the connection for a short while, in place of the oldest if too many are kept."""
        if not connection.is_idle:
            connection.close()
            return
        if len(self._keys) >= KEPT_MAX:
            self._drop(next(iter(self._keys)))
        self._kept[key][connection] = None
        self._keys[connection] = key
        connection.keep(KEEPALIVE_SECONDS, lambda: self._drop(connection))

    def close(self) -> None:
        """Close them all."""
        for connection in list(self._keys):
            self._drop(connection)

    def _drop(self, connection: ReceiverConnection) -> None:
        self._forget(connection)
        connection.close()

    def _forget(self, connection: ReceiverConnection) -> None:
        key = self._keys.pop(connection)
        del self._kept[key][connection]
        if not self._kept[key]:
            del self._kept[key]
