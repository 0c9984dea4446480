"""The lean server for handlers that are coroutines: what the gateway and the webhook sink are made of.

aiohttp's server takes 80 to 100 µs of processor time for a request before anybody has looked at it. On a machine that
runs the whole stack this time is missing elsewhere.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import orjson

from local.http import server as http_server
from local.http.server import Connection, HttpServer, header_lines

BODY_BYTES_MAX = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Request:
    """A whole request; the names of headers are in lower case, and of several with one name the last counts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    _connection: Connection = field(repr=False)

    def parameter(self, name: str) -> str | None:
        """The first value of a parameter in the query."""
        return parse_qs(self.query).get(name, [None])[0]

    async def client_gone(self) -> None:
        """Returns once the client has hung up."""
        await self._connection.closed()


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

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
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = HttpServer(self._handle, _refusal, BODY_BYTES_MAX)

    async def start(self, host: str, port: int) -> int:
        """Listens, on a free port when `port` is 0, and returns the port. Raises OSError when it is taken."""
        return await self._server.start(port, host)

    async def stop(self) -> None:
        """Stops at once: requests that are being worked on get no answer."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.close()

    def _handle(self, request: http_server.Request, connection: Connection) -> None:
        if request.body is None:
            connection.answer(_refusal(413))
            return
        path, _, query = request.target.partition("?")
        whole = Request(request.method, path, query, dict(request.headers()), request.body, connection)
        task = asyncio.get_running_loop().create_task(self._answer(whole, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request, connection: Connection) -> None:
        try:
            response = await self._handler(request)
            wire = http_server.Response(response.status, header_lines(response.headers.items()), response.body)
        except Exception:
            logger.exception("%s %s failed.", request.method, request.path)
            wire = _refusal(500)
        connection.answer(wire)


def _refusal(status: int) -> http_server.Response:
    error = "not a request" if status < 500 else "internal error"
    lines = header_lines([("Content-Type", "application/json")])
    return http_server.Response(status, lines, orjson.dumps({"error": error}))
