"""A small HTTP/1.1 server for the offline stack's processes that answer many short requests.

aiohttp's server takes 80 to 100 µs of processor time for a request before anybody has looked at it. On a machine that
runs the whole stack this time is missing elsewhere, so these processes speak HTTP by httptools, the parser of Node.js,
and no more of it than they need.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qs

import httptools
import orjson

BODY_BYTES_MAX = 1024 * 1024
HEAD_BYTES_MAX = 64 * 1024
# A client that sends its next requests before it has read its answers is made to wait from here on.
WAITING_MAX = 16
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


@dataclass(slots=True, eq=False)
class Request:
    """A whole request; the names of headers are in lower case, and of several with one name the last counts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    keeps_alive: bool
    _protocol: _Protocol = field(repr=False)

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter in the query."""
        return parse_qs(self.query).get(name, [None])[0]

    async def client_gone(self) -> None:
        """Returns once the client has hung up."""
        await self._protocol.closed()


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; Content-Length is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """The content as JSON."""
    return Response(status, orjson.dumps(content), {"Content-Type": "application/json", **(headers or {})})


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Makes uvloop's event loops where it is installed, which is everywhere but on Windows; nothing depends on it."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


class LeanServer:
    """Serves one address; a request is worked on to its end even when its client has hung up meanwhile."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[_Protocol] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens, on a free port when `port` is 0, and returns the port. Raises OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Protocol(self), host, port, backlog=1024)
        listening_port: int = self._listening.sockets[0].getsockname()[1]
        return listening_port

    async def stop(self) -> None:
        """Stops at once: requests that are being worked on get no answer."""
        if self._listening is not None:
            self._listening.close()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.abort()


class _Protocol(asyncio.Protocol):
    """One connection: parses requests and answers them one after the other, in their order."""

    def __init__(self, server: LeanServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Request] = deque()
        self._is_busy = False
        self._closed: asyncio.Future[None] | None = None
        self._begin()

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports look like asyncio's and do not inherit from them.
        self._transport = cast("asyncio.Transport", transport)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop passes it by position
        self._transport = None
        self._waiting.clear()
        self._server.connections.discard(self)
        if self._closed is not None and not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)
        except httptools.HttpParserError as error:
            self._refuse(413 if isinstance(error.__context__, _TooLarge) else 400)

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        self._begin()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url), HEAD_BYTES_MAX)
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value), HEAD_BYTES_MAX)
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._bytes = 0

    def on_body(self, body: bytes) -> None:
        self._grow(len(body), BODY_BYTES_MAX)
        self._body.append(body)

    def on_message_complete(self) -> None:
        path, _, query = self._url.decode("latin-1").partition("?")
        method, keeps_alive = self._parser.get_method().decode(), self._parser.should_keep_alive()
        request = Request(method, path, query, self._headers, b"".join(self._body), keeps_alive, self)
        if self._is_busy:
            self._waiting.append(request)
            if len(self._waiting) >= WAITING_MAX and self._transport is not None:
                self._transport.pause_reading()
        else:
            self._work_on(request)

    # --- the rest ---

    def abort(self) -> None:
        """Closes the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Returns once the connection is closed."""
        if self._transport is not None:
            self._closed = self._closed or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._closed)

    def _begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._bytes = 0

    def _grow(self, count: int, bytes_max: int) -> None:
        self._bytes += count
        if self._bytes > bytes_max:
            raise _TooLarge

    def _work_on(self, request: Request) -> None:
        self._is_busy = True
        task = asyncio.get_running_loop().create_task(self._answer(request))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            response = await self._server.handler(request)
        except BaseException:
            # asyncio tells of the error when it finds that nobody asks for this task's result.
            self.abort()
            raise
        self._is_busy = False
        if self._transport is None:
            return
        self._transport.write(_wire_format(response, request.keeps_alive))
        if not request.keeps_alive:
            self._transport.close()
        elif self._waiting:
            self._transport.resume_reading()
            self._work_on(self._waiting.popleft())

    def _refuse(self, status: int) -> None:
        if self._transport is not None:
            self._transport.write(_wire_format(json_response(status, {"error": "not a request"}), keeps_alive=False))
            self._transport.close()


class _TooLarge(Exception):
    """A request is larger than this server takes."""


def _wire_format(response: Response, keeps_alive: bool) -> bytes:
    lines = [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    if not keeps_alive:
        lines.append("Connection: close\r\n")
    return b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
        response.status,
        _REASONS.get(response.status, b"Unknown"),
        len(response.body),
        "".join(lines).encode("latin-1"),
        response.body,
    )
