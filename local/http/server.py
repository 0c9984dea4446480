"""A lean HTTP/1.1 server on loopback: httptools parses the requests, one plain function handles each.

The local stack's own HTTP must cost less than the functions that run on it. So there is no task, no stream and no
router here. Bytes go through the compiled parser, and `handle` gets each request and the connection. It calls the
connection's `answer` exactly once, at once or later. The requests of a connection are handled one after the other.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from local.http.messages import WireRequest, WireResponse, answer_bytes

logger = logging.getLogger(__name__)

# API Gateway's limit of the request line and all headers together.
HEAD_BYTES_MAX = 10_240
# Bytes are counted by the chunks in which they arrive, and a chunk may hold the end of the previous request.
_PIECE_BYTES_MAX = 256 * 1024
# A connection of an environment or of a pooling client stays open between requests.
_KEEP_ALIVE_SECONDS = 300.0
_SWEEP_SECONDS = 30.0
# A client that is still sending when it is refused has this long to read why. Closing at once would lose the answer.
_LINGER_SECONDS = 5.0
_SHUTDOWN_SECONDS = 0.2
_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


Handler = Callable[[WireRequest, "Connection"], None]
# The answer to what is not HTTP (400), to a head that is too large (431) and for a handler that failed (500).
Refusal = Callable[[int], WireResponse]


class Connection(asyncio.Protocol):
    """One client. The parser calls the methods `on_…` while it reads."""

    def __init__(self, server: HttpServer) -> None:
        self.client_ip = "127.0.0.1"
        self.idle_since = time.monotonic()
        self._server = server
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        # The request in hand, and those that arrived meanwhile. The last may be the status of a refusal.
        self._current: WireRequest | None = None
        self._waiting: deque[WireRequest | int] = deque()
        # Nothing more is answered.
        self._is_closed = False
        # Whether the connection has ended, and the future of what waits for that.
        self._is_lost = False
        self._closed: asyncio.Future[None] | None = None
        self._is_writable = True
        self._is_paused = False
        # Nothing more is read: a request was refused.
        self._is_deaf = False
        self._reset()

    @property
    def is_busy(self) -> bool:
        return self._current is not None or bool(self._waiting)

    def answer(self, response: WireResponse) -> None:
        """Send the answer to the request in hand, then handle the next one. A client that has gone is not an error."""
        request, self._current = self._current, None
        if request is None or self._is_closed:
            return
        self.idle_since = time.monotonic()
        if request.body is None:
            self._end(response)
            return
        keep_alive = request.keep_alive and not self._server.is_closing
        self._transport.write(answer_bytes(response, request, keep_alive=keep_alive))
        if not keep_alive:
            self.close()
        elif self._waiting:
            # Not at once: a hundred requests in one chunk, each answered at once, would recurse.
            asyncio.get_running_loop().call_soon(self._handle_next)

    def close(self) -> None:
        """Close after the answers are sent. Waiting requests are dropped."""
        self._is_closed = True
        self._waiting.clear()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    async def closed(self) -> None:
        """Wait until either side has closed the connection."""
        if not self._is_lost:
            self._closed = self._closed or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._closed)

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client_ip = peer[0] if peer else self.client_ip
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._is_closed = self._is_lost = True
        self._waiting.clear()
        self._server.connections.discard(self)
        if self._closed is not None:
            self._closed.set_result(None)
        # The parser holds this object's methods. Without the cycle both are freed at once.
        del self._parser

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self._handle_next()

    def data_received(self, data: bytes) -> None:
        rest = data
        while rest and not self._is_deaf:
            try:
                self._parser.feed_data(rest)
            except HttpParserUpgrade as upgrade:
                # No connection is upgraded: what follows is HTTP. At least one byte is skipped, so that this ends.
                rest = rest[max(1, upgrade.args[0]) :]
                continue
            except HttpParserError:
                self._refuse(400)
            rest = b""
        self._bodiless_bytes += len(data)
        if self._bodiless_bytes > self._server.head_bytes_max + _PIECE_BYTES_MAX:
            # Endless headers or trailers.
            self._refuse(431)
        if self._waiting and not self._is_closed:
            # A client that does not wait for answers is read again when these are sent.
            self._is_paused = True
            self._transport.pause_reading()

    # --- called by the parser

    def on_message_begin(self) -> None:
        self._reset()
        self._is_in_head = True

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # Headers after a chunked body are trailers.
        if self._is_in_head:
            self._head += (name, value)
            if len(name) == 6 and name.lower() == b"expect":
                self._expects = value.strip().lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        # Each header has a colon, a space and a line break as well.
        if len(self._target) + sum(map(len, self._head)) + 2 * len(self._head) > self._server.head_bytes_max:
            self._refuse(431)
        elif self._expects and not self.is_busy and not self._is_deaf and self._parser.get_http_version() == "1.1":
            # Behind other requests it would come between their answers. The client sends on without it after a while.
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._body.append(part)
        self._body_bytes += len(part)
        self._bodiless_bytes = 0
        if self._body_bytes > self._server.body_bytes_max and not self._is_deaf:
            self._take(None)
            self._is_deaf = True

    def on_message_complete(self) -> None:
        if not self._is_deaf:
            self._take(b"".join(self._body))

    def _reset(self) -> None:
        """Forget the last request."""
        self._target = b""
        self._head: list[bytes] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._bodiless_bytes = 0
        self._is_in_head = self._expects = False

    def _take(self, body: bytes | None) -> None:
        """Handle a request that the parser has read, or queue it."""
        parser = self._parser
        request = WireRequest(
            parser.get_method().decode(),
            _origin_form(self._target.decode("utf-8", "replace")),
            parser.get_http_version(),
            self._head,
            body,
            keep_alive=parser.should_keep_alive(),
        )
        self._waiting.append(request)
        self._handle_next()

    def _refuse(self, status: int) -> None:
        """Answer an unreadable request, after the answers to the earlier ones, and close."""
        if not self._is_deaf:
            self._is_deaf = True
            self._waiting.append(status)
            self._handle_next()

    def _handle_next(self) -> None:
        if not self._waiting or self._current is not None or not self._is_writable or self._is_closed:
            return
        item = self._waiting.popleft()
        if self._is_paused and not self._waiting:
            self._is_paused = False
            self._transport.resume_reading()
        if isinstance(item, int):
            self._end(self._server.refusal(item))
            return
        self._current = item
        try:
            self._server.handle(item, self)
        except Exception:
            logger.exception("%s %s failed.", item.method, item.target)
            self.answer(self._server.refusal(500))

    def _end(self, response: WireResponse) -> None:
        """Send the last answer of this connection. The client may still be sending."""
        self._is_deaf = self._is_closed = True
        self._waiting.clear()
        last = WireRequest("GET", "", "1.1", [], b"", keep_alive=False)
        self._transport.write(answer_bytes(response, last, keep_alive=False))
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)


class HttpServer:
    """Listen on one address. The last two arguments limit a request's body, and its first line and headers together."""

    def __init__(
        self, handle: Handler, refusal: Refusal, body_bytes_max: int, head_bytes_max: int = HEAD_BYTES_MAX
    ) -> None:
        self.handle = handle
        self.refusal = refusal
        self.body_bytes_max = body_bytes_max
        self.head_bytes_max = head_bytes_max
        self.connections: set[Connection] = set()
        self.is_closing = False
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen and return the port. The system chooses it if `port` is 0. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            chosen = int(listener.getsockname()[1])
            self._server = await loop.create_server(lambda: Connection(self), sock=listener, backlog=1_024)
        except OSError:
            listener.close()
            raise
        self._sweeper = loop.call_later(_SWEEP_SECONDS, self._sweep)
        return chosen

    async def close(self) -> None:
        """Accept no more connections, wait a moment for requests in hand, and close all connections."""
        self.is_closing = True
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        if any(connection.is_busy for connection in self.connections):
            await asyncio.sleep(_SHUTDOWN_SECONDS)
        for connection in list(self.connections):
            connection.abort()

    def _sweep(self) -> None:
        """Close connections that have been idle for long. A timer for each request would cost more."""
        idle_before = time.monotonic() - _KEEP_ALIVE_SECONDS
        for connection in list(self.connections):
            if not connection.is_busy and connection.idle_since < idle_before:
                connection.close()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)


def _origin_form(target: str) -> str:
    """Return path and query exactly as sent, without the scheme and host of a proxy's absolute form."""
    if target.startswith("/"):
        return target
    path = _ABSOLUTE_FORM.sub("", target, count=1)
    return f"/{path}" if path != target and not path.startswith("/") else path
