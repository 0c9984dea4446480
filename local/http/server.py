"""A lean HTTP/1.1 server on loopback: httptools reads the requests, one plain function handles each.

The local stack's own HTTP must cost less than the functions that are tried on it. So there is no task, no stream and no
router here: bytes go through the compiled parser, and `handle` is called with each request and the connection, whose
`answer` it calls once, at once or later. The requests of a connection are handled one after the other, in their order.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

logger = logging.getLogger(__name__)

# API Gateway's limit of the request line and all headers together.
HEAD_BYTES_MAX = 10_240
# Bytes are counted by the pieces in which they come, and one piece may hold the end of the request before.
_PIECE_BYTES_MAX = 256 * 1024
# A connection of an environment or of a pooling client stays open between requests.
_KEEP_ALIVE_SECONDS = 300.0
_SWEEP_SECONDS = 30.0
# Whoever is still sending when he is refused has this long to read why; closed at once, the answer would be lost.
_LINGER_SECONDS = 5.0
_SHUTDOWN_SECONDS = 0.2
_ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


class Request:
    """One request as it came. `target` is path and query, undecoded; `body` is None where it is too large."""

    __slots__ = ("_head", "body", "keep_alive", "method", "target", "version")

    def __init__(
        self, method: str, target: str, version: str, head: list[bytes], body: bytes | None, *, keep_alive: bool
    ) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.body = body
        self.keep_alive = keep_alive
        # Names and values in turns.
        self._head = head

    def headers(self) -> list[tuple[str, str]]:
        """Lower-case names with their values, in their order; bytes that are no UTF-8 become replacement characters."""
        return [
            (name.decode("latin-1").lower(), value.decode("utf-8", "replace").strip(" \t"))
            for name, value in zip(self._head[::2], self._head[1::2], strict=True)
        ]


class Response:
    """One answer; `headers` are whole lines, as `header_lines` makes them."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body


Handler = Callable[[Request, "Connection"], None]
# The answer to what is no HTTP (400), to a head that is too large (431) and for a handler that failed (500).
Refusal = Callable[[int], Response]


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as bytes for `Response`. Raises ValueError for one that would be more than one line."""
    pairs = list(headers)
    text = "".join([f"{name}: {value}\r\n" for name, value in pairs])
    if not text.count("\r") == text.count("\n") == len(pairs) or "\0" in text:
        raise ValueError("a header holds a line break or a NUL")
    return text.encode()


class Connection(asyncio.Protocol):
    """One client. The methods `on_…` are called by the parser while it is fed."""

    def __init__(self, server: HttpServer) -> None:
        self.client_ip = "127.0.0.1"
        self.idle_since = time.monotonic()
        self._server = server
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        # What is being handled, and what came meanwhile: requests, or the status by which the last one is refused.
        self._current: Request | None = None
        self._waiting: deque[Request | int] = deque()
        # Nothing more is answered.
        self._is_closed = False
        # The connection has ended, and who waits for that.
        self._is_lost = False
        self._closed: asyncio.Future[None] | None = None
        self._is_writable = True
        self._is_paused = False
        # Nothing more is read: the request at hand was refused.
        self._is_deaf = False
        self._reset()

    @property
    def is_busy(self) -> bool:
        return self._current is not None or bool(self._waiting)

    def answer(self, response: Response) -> None:
        """Send the answer to the request at hand, then handle the next one. A client that has gone is no error."""
        request, self._current = self._current, None
        if request is None or self._is_closed:
            return
        self.idle_since = time.monotonic()
        if request.body is None:
            self._end(response)
            return
        keep_alive = request.keep_alive and not self._server.is_closing
        self._transport.write(_answer_bytes(response, request, keep_alive=keep_alive))
        if not keep_alive:
            self.close()
        elif self._waiting:
            # Not at once: a hundred requests in one piece, each answered at once, would call each other.
            asyncio.get_running_loop().call_soon(self._handle_next)

    def close(self) -> None:
        """Close after what has been answered is sent; requests that wait are dropped."""
        self._is_closed = True
        self._waiting.clear()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    async def closed(self) -> None:
        """Return once the connection is closed, by whichever side."""
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
        # The parser holds this object's methods; without it the two are freed at once.
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
                # Nobody is upgraded here: what follows is HTTP as before. Were it all of it, this would never end.
                rest = rest[max(1, upgrade.args[0]) :]
                continue
            except HttpParserError:
                self._refuse(400)
            rest = b""
        self._bodiless_bytes += len(data)
        if self._bodiless_bytes > self._server.head_bytes_max + _PIECE_BYTES_MAX:
            # A head or trailers without end.
            self._refuse(431)
        if self._waiting and not self._is_closed:
            # Whoever sends on without waiting for answers is read again when these have been given.
            self._is_paused = True
            self._transport.pause_reading()

    # --- called by the parser

    def on_message_begin(self) -> None:
        self._reset()
        self._is_in_head = True

    def on_url(self, part: bytes) -> None:
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a chunked body are trailers.
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
            # Behind other requests it would come between their answers; such a client sends on without it in time.
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
        """The parser has read a request: handle it, or let it wait for its turn."""
        parser = self._parser
        request = Request(
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
        """Answer what cannot be read after everything before it, and close."""
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

    def _end(self, response: Response) -> None:
        """Send the last answer of this connection, which the client may not be waiting for yet."""
        self._is_deaf = self._is_closed = True
        self._waiting.clear()
        last = Request("GET", "", "1.1", [], b"", keep_alive=False)
        self._transport.write(_answer_bytes(response, last, keep_alive=False))
        self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.close)


class HttpServer:
    """Listens on one address; the last two bound a request's body, and its first line and headers together."""

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
        """Listen; `port` 0 lets the system choose one. Returns the port. Raises OSError where it is taken."""
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
        """Take no more connections, give requests that are being handled a moment, and close all connections."""
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
        """Close connections that have been idle for long; one timer for each request would cost more."""
        idle_before = time.monotonic() - _KEEP_ALIVE_SECONDS
        for connection in list(self.connections):
            if not connection.is_busy and connection.idle_since < idle_before:
                connection.close()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_SECONDS, self._sweep)


def _origin_form(target: str) -> str:
    """Path and query exactly as sent; a proxy's absolute form loses its scheme and host."""
    if target.startswith("/"):
        return target
    path = _ABSOLUTE_FORM.sub("", target, count=1)
    return f"/{path}" if path != target and not path.startswith("/") else path


def _answer_bytes(response: Response, request: Request, *, keep_alive: bool) -> bytes:
    status, body = response.status, response.body
    has_body = status not in {204, 304}
    connection = b""
    if not keep_alive:
        connection = b"connection: close\r\n"
    elif request.version == "1.0":
        connection = b"connection: keep-alive\r\n"
    length = b"content-length: %d\r\n" % len(body) if has_body else b""
    head = b"".join((_status_line(status), response.headers, connection, length, _date_line(int(time.time()))))
    return head + body if has_body and request.method != "HEAD" else head


@lru_cache
def _status_line(status: int) -> bytes:
    known = status in HTTPStatus.__members__.values()
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase if known else ''}\r\n".encode()


@lru_cache(maxsize=1)
def _date_line(second: int) -> bytes:
    """The last line of a head."""
    return f"date: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
