"""The lean server for handlers that are coroutines. The gateway and the webhook sink use it.

aiohttp's server takes 80 to 100 µs of processor time for a request before its handler runs. On a machine that runs the
whole stack, that time is missing elsewhere.
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

from local.http.messages import WireRequest, WireResponse, header_lines
from local.http.server import Connection, HttpServer

BODY_BYTES_MAX = 1024 * 1024

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Request:
    """A whole request. Names of headers are in lower case. Of several with one name the last counts."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    _connection: Connection = field(repr=False)

    def parameter(self, name: str) -> str | None:
        """Return the first value of a parameter in the query."""
        return parse_qs(self.query).get(name, [None])[0]

    async def client_gone(self) -> None:
        """Wait until the client has disconnected."""
        await self._connection.closed()


@dataclass(frozen=True, slots=True)
class Response:
    """The response of a handler."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return the content as JSON."""
    return Response(status, orjson.dumps(content), {"Content-Type": "application/json", **(headers or {})})


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop's event loops, or None where it is not installed, as on Windows."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


class LeanServer:
    """Serve one address. A request is handled to its end even if its client disconnects."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = HttpServer(self._handle, _refusal, BODY_BYTES_MAX)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, a free one if `port` is 0. Raises OSError when it is taken."""
        return await self._server.start(port, host)

    async def stop(self) -> None:
        """Stop at once: requests in hand get no answer."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.close()

    def _handle(self, request: WireRequest, connection: Connection) -> None:
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
            wire = WireResponse(response.status, header_lines(response.headers.items()), response.body)
        except Exception:
            logger.exception("%s %s failed.", request.method, request.path)
            wire = _refusal(500)
        connection.answer(wire)


def _refusal(status: int) -> WireResponse:
    error = "not a request" if status < 500 else "internal error"
    lines = header_lines([("Content-Type", "application/json")])
    return WireResponse(status, lines, orjson.dumps({"error": error}))
