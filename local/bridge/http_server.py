"""An HTTP server on loopback whose every error is a problem, also of requests that are no HTTP."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import _ErrInfo
from multidict import CIMultiDict

from local.bridge.http_events import HttpResponse
from local.bridge.problems import ProblemError, problem_response
from local.loopback import listen

logger = logging.getLogger(__name__)

HttpHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

# API Gateway's limits: a body, and the request line with all headers together, which aiohttp can bound only one by one.
BODY_BYTES_MAX = 10 * 1024 * 1024
HEADER_BYTES_MAX = 10_240
_KEEP_ALIVE_SECONDS = 300.0


def new_request_id() -> str:
    """Sixteen characters such as JKJaXmPLvHcESHA=, like API Gateway's."""
    return f"{secrets.token_urlsafe(11)}="


def wire_response(answer: HttpResponse, request_id: str) -> web.Response:
    """The answer as aiohttp sends it, with API Gateway's request id."""
    headers = CIMultiDict(answer.headers)
    headers["apigw-requestid"] = request_id
    return web.Response(status=answer.status, headers=headers, body=answer.body)


class _Protocol(web.RequestHandler):
    """aiohttp's protocol, which would answer in plain text."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Hands bytes to the parser, and what it says of a body to the handler that is reading it.

        aiohttp queues the error as a message of its own, which it looks at only after that handler, which would wait
        for the rest of its body for ever.
        """
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo) and self._current_request is not None:
            body = self._current_request.content
            if not body.is_eof():
                body.set_exception(web.RequestPayloadError("The body is malformed."))
                # There is nothing left to wait for before the connection is closed.
                body.feed_eof()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it may repeat what was sent, and is not shown.
    ) -> web.StreamResponse:
        """The problem for what aiohttp could not read (400) or what the handler did not catch (500)."""
        if request.writer.output_size > 0:
            raise ConnectionError("A part of another answer has been sent already.") from exc
        if status == 500:
            logger.error("The front failed.", exc_info=exc)
        request_id = new_request_id()
        response = wire_response(problem_response(_problem_of(status, exc), request_id), request_id)
        response.force_close()
        return response


class _Server(web.Server):
    """Speaks by _Protocol."""

    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


async def start_front(handler: HttpHandler, port: int) -> tuple[web.ServerRunner, int]:
    """Listen on 127.0.0.1; `port` 0 lets the system choose one. Returns the runner and the port. Raises OSError."""
    server = _Server(
        handler,
        request_factory=_request,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE_SECONDS,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
        # API Gateway hands a compressed body on as it is, and so does this.
        auto_decompress=False,
    )
    return await listen(server, port)


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BYTES_MAX)


def _problem_of(status: int, error: BaseException | None) -> ProblemError:
    if isinstance(error, LineTooLong):
        return ProblemError(431, f"The request line and a header may have {HEADER_BYTES_MAX} bytes at most.")
    if status == 400:
        return ProblemError(400, "The request is not HTTP/1.1.")
    return ProblemError(500, "The front failed.")
